"""Scenarios by name: one file each. To add one, copy ``digits.py`` and list it here."""

from rurklib.scenarios.cifar5 import CIFAR5
from rurklib.scenarios.digits import DIGITS
from rurklib.scenarios.fashion import FASHION
from rurklib.scenarios.imagefolder import IMAGEFOLDER
from rurklib.scenarios.npz import NPZ
from rurklib.scenarios.scenario import Scenario, literal

SCENARIOS: dict[str, Scenario] = {s.name: s for s in (DIGITS, CIFAR5, FASHION, NPZ, IMAGEFOLDER)}

__all__ = ["SCENARIOS", "Scenario", "literal"]
