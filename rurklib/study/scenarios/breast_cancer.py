"""``breast-cancer``: half of the malignant tumours forgotten, by a net of one hidden layer.

Thirty numbers a tumour and no picture: the embedded case that isn't images. Settings were chosen by
``rurk tune`` on a rehearsal (8 trials a method, Originals 900 and 901, four references).
"""

from functools import partial

from rurklib.data.bundled import breast_cancer
from rurklib.study.scenarios.scenario import Scenario, bundled

BREAST_CANCER = Scenario(
    name="breast-cancer",
    title="Wisconsin breast cancer",
    data=partial(bundled, breast_cancer),
    model="mlp",
    forget_class=0,
    epochs=100,
    batch_size=32,
    taus=(0.0, 0.02, 0.04, 0.06, 0.08, 0.1),
    methods={
        "GD": {"epochs": 17, "lr": 0.0924},
        "NGD": {"epochs": 18, "lr": 0.0607, "sigma": 0.0421},
        "GA": {"epochs": 4, "lr": 0.0063},
        "NegGrad+": {"beta": 0.173, "clip": 0.883, "epochs": 6, "lr": 0.02},
        "SCRUB": {"alpha": 0.00421, "epochs": 4, "lr": 0.00837, "max_epochs": 1},
        "SSD": {"alpha": 3.51, "dampening": 0.113},
        "RURK": {
            "clip": 0.375,
            "epochs": 5,
            "lambda_a": 0.214,
            "lambda_f": 0.178,
            "lr": 0.0289,
            "momentum": 0.0,
            "tau": 0.0803,
        },
    },
)
