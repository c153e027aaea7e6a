r"""``cifar5-paper``: small CIFAR-5 by ResNet-18 as in the paper (sections 3 and B); for a GPU.

One ResNet-18 is pre-trained on all of CIFAR-10 (200 epochs, lr 0.4, weight decay 2e-4, cosine).
Original and Re-train both start from it, with a new head of 5 classes: Original is fine-tuned on
small CIFAR-5 for 25 epochs at lr 0.01, Re-train on its retain set for 100. So **Re-train's
initialisation has seen the forget samples**, with their labels: neither it nor the null band is
that of models that never saw them, though the paper measures against it ("entirely from scratch",
it says elsewhere). ``--scenario cifar5`` is free of this.

Every method has the paper's hyper-parameters: its defaults, and SSD's alpha of 100. Where the paper
says nothing: momentum and weight decay of the fine-tuning are those of the pre-training, nothing is
augmented (so expect less than its 95 % test accuracy), BatchNorm is frozen in RURK. Seeds are the
paper's. The second command only shows that everything runs, on a CPU:

    rurk study --scenario cifar5-paper
    rurk study --scenario cifar5-paper --set model=small-cnn-32 --set pretrain.epochs=1 \
        --set epochs=1 --set retrain_epochs=2 --set references=2 --set draws=2
"""

from rurklib.study.scenarios.scenario import Pretraining, Scenario
from rurklib.study.sources.cifar_fashion import cifar5, cifar10

CIFAR5_PAPER = Scenario(
    name="cifar5-paper",
    title="small CIFAR-5 (pre-training saw the forget samples)",
    data=cifar5,
    model="resnet18",
    forget_class=0,
    pretrain=Pretraining(data=cifar10, epochs=200, lr=0.4),
    epochs=25,
    retrain_epochs=100,
    lr=0.01,
    batch_size=128,
    seeds=(131, 42, 7),
    weight_decay=2e-4,
    taus=(0.0, 0.0031, 0.0063, 0.0094, 0.0125, 0.0157, 0.0188, 0.022, 0.0251, 0.0282, 0.0314),
    perturbations=("gaussian", "fgsm", "pgd"),
    methods={
        "CR": {},
        "Fisher": {},
        "NTK": {},
        "GD": {},
        "NGD": {},
        "GA": {},
        "NegGrad+": {},
        "EU-k": {},
        "CF-k": {},
        "SCRUB": {},
        "SSD": {"alpha": 100.0},
        "RURK": {},
    },
)
