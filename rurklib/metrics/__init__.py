"""Numbers about one model: accuracy, membership, how fast it learns again, distance to Re-train."""

from rurklib.metrics.accuracy import accuracy, average_gap
from rurklib.metrics.lira import LiRA, confidence, lira
from rurklib.metrics.membership import Membership, membership
from rurklib.metrics.mia import mia, mia_class
from rurklib.metrics.relearn import few_shots, relearn_epochs

__all__ = [
    "LiRA",
    "Membership",
    "accuracy",
    "average_gap",
    "confidence",
    "few_shots",
    "lira",
    "membership",
    "mia",
    "mia_class",
    "relearn_epochs",
]
