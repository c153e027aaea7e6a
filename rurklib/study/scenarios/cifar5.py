"""``cifar5``: small CIFAR-5 by a small CNN from scratch, ten seconds a model on one core.

The paper's data: the first five CIFAR-10 classes, 200 + 200 images each, half of the airplanes
forgotten. The net is not the paper's (ResNet-18, pre-trained on all of CIFAR-10).
Settings were chosen by ``rurk tune`` on a rehearsal (8 trials a method, Originals 900 ... 903), but
for NTK, which has its default ridge: one trial takes a minute. Of SalUn, BoundaryShrink and
WoodFisher the defaults were the best trial.

    rurk tune --scenario cifar5 --budget 8 --seeds 900,901,902,903   # --methods: all but NTK
"""

from rurklib.study.scenarios.scenario import Scenario
from rurklib.study.sources.cifar_fashion import cifar5

CIFAR5 = Scenario(
    name="cifar5",
    title="small CIFAR-5",
    data=cifar5,
    model="small-cnn-32",
    forget_class=0,
    epochs=15,
    taus=(0.0, 0.01, 0.02, 0.03, 0.05, 0.08),
    methods={
        "CR": {},
        "Fisher": {"alpha": 2.46e-07, "ceiling": 2640.0},
        "NTK": {},
        "GD": {"epochs": 17, "lr": 0.0924},
        "NGD": {"epochs": 17, "lr": 0.0208, "sigma": 0.274},
        "GA": {"epochs": 6, "lr": 6.74e-05},
        "NegGrad+": {"beta": 0.004, "clip": 0.267, "epochs": 6, "lr": 0.0127},
        "EU-k": {"epochs": 26, "k": 5, "lr": 0.00648},
        "CF-k": {"epochs": 22, "k": 3, "lr": 0.0262},
        "SCRUB": {"alpha": 0.00421, "epochs": 4, "lr": 0.00837, "max_epochs": 1},
        "SSD": {"alpha": 3.51, "dampening": 0.113},
        "l1-sparse": {"epochs": 16, "gamma": 5.42e-05, "lr": 0.0668},
        "RandomLabels": {"epochs": 3, "lr": 0.00477},
        "SalUn": {},
        "BadTeacher": {"epochs": 5, "lr": 0.00111, "retain_share": 0.29, "temperature": 2.17},
        "AMUN": {"epochs": 1, "lr": 0.0727, "true_labels": False},
        "BoundaryShrink": {},
        "WoodFisher": {},
        "RURK": {
            "clip": 0.213,
            "epochs": 3,
            "lambda_a": 0.0349,
            "lambda_f": 0.135,
            "lr": 0.0538,
            "momentum": 0.0,
            "tau": 0.0208,
        },
    },
)


# For images of other sizes and kinds, as a start: tune your own. NTK isn't among them, since its
# time grows with samples times classes.
BORROWED = {name: values for name, values in CIFAR5.methods.items() if name != "NTK"}
