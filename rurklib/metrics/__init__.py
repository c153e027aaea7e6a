"""Numbers about one model: accuracy, membership, how fast it learns again, distance to Re-train.

A file here with a function under ``@metric(...)`` is a metric of every study; those whose columns
come first in summary.csv are imported first.
"""

from importlib import import_module
from pkgutil import iter_modules

from rurklib.metrics.accuracy import accuracy, average_gap, gap_of_means
from rurklib.metrics.mia import mia

# isort: split
from rurklib.metrics.lira import LiRA, confidence, lira, membership
from rurklib.metrics.registry import METRICS, metric
from rurklib.metrics.relearn import few_shots, relearn_epochs, relearn_steps

# isort: split
from rurklib.metrics.shadow_models import klom, klom_normal, u_lira

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["METRICS", "LiRA", "accuracy", "average_gap", "confidence", "few_shots",
           "gap_of_means", "klom", "klom_normal", "lira", "membership", "metric", "mia",
           "relearn_epochs", "relearn_steps", "u_lira"]  # fmt: skip
