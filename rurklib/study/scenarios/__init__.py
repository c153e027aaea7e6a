"""Scenarios by name: one file each. To add one, copy ``digits.py`` and list it here."""

from rurklib.study.scenarios.breast_cancer import BREAST_CANCER
from rurklib.study.scenarios.cifar5 import CIFAR5
from rurklib.study.scenarios.cifar5_paper import CIFAR5_PAPER
from rurklib.study.scenarios.cifar10 import CIFAR10
from rurklib.study.scenarios.cifar10_fast import CIFAR10_FAST
from rurklib.study.scenarios.cifar10_vgg import CIFAR10_VGG
from rurklib.study.scenarios.digits import DIGITS
from rurklib.study.scenarios.fashion import FASHION
from rurklib.study.scenarios.imagefolder import IMAGEFOLDER
from rurklib.study.scenarios.imagenet100 import IMAGENET100
from rurklib.study.scenarios.imagenette import IMAGENETTE
from rurklib.study.scenarios.iris import IRIS
from rurklib.study.scenarios.npz import NPZ
from rurklib.study.scenarios.scenario import Pretraining, Scenario, literal
from rurklib.study.scenarios.sms import SMS
from rurklib.study.scenarios.sst2 import SST2
from rurklib.study.scenarios.trec import TREC

SCENARIOS: dict[str, Scenario] = {
    s.name: s
    for s in (
        DIGITS,
        CIFAR5,
        CIFAR5_PAPER,
        CIFAR10,
        CIFAR10_FAST,
        CIFAR10_VGG,
        IMAGENET100,
        IMAGENETTE,
        FASHION,
        NPZ,
        IMAGEFOLDER,
        SMS,
        TREC,
        SST2,
        BREAST_CANCER,
        IRIS,
    )
}

__all__ = [
    "BREAST_CANCER",
    "CIFAR5",
    "CIFAR5_PAPER",
    "CIFAR10",
    "CIFAR10_FAST",
    "CIFAR10_VGG",
    "DIGITS",
    "FASHION",
    "IMAGEFOLDER",
    "IMAGENET100",
    "IMAGENETTE",
    "IRIS",
    "NPZ",
    "SCENARIOS",
    "SMS",
    "SST2",
    "TREC",
    "Pretraining",
    "Scenario",
    "literal",
]
