"""Scenarios by name: one file each. To add one, copy ``digits.py`` and list it here."""

from rurklib.scenarios.breast_cancer import BREAST_CANCER
from rurklib.scenarios.cifar5 import CIFAR5
from rurklib.scenarios.cifar5_paper import CIFAR5_PAPER
from rurklib.scenarios.cifar10 import CIFAR10
from rurklib.scenarios.cifar10_fast import CIFAR10_FAST
from rurklib.scenarios.cifar10_vgg import CIFAR10_VGG
from rurklib.scenarios.digits import DIGITS
from rurklib.scenarios.fashion import FASHION
from rurklib.scenarios.imagefolder import IMAGEFOLDER
from rurklib.scenarios.imagenet100 import IMAGENET100
from rurklib.scenarios.imagenette import IMAGENETTE
from rurklib.scenarios.iris import IRIS
from rurklib.scenarios.npz import NPZ
from rurklib.scenarios.scenario import Pretraining, Scenario, literal
from rurklib.scenarios.sms import SMS
from rurklib.scenarios.sst2 import SST2
from rurklib.scenarios.trec import TREC

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

__all__ = ["SCENARIOS", "Pretraining", "Scenario", "literal"]
