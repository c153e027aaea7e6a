"""Numbers about one model: accuracy, membership, how fast it learns again, distance to Re-train.

A file here with a function under ``@metric(...)`` is a metric of every study. Those named below
come first in summary.csv, in this order.
"""

from importlib import import_module
from pkgutil import iter_modules

from rurklib.metrics.accuracy import accuracy
from rurklib.metrics.mia import mia

# isort: split
from rurklib.metrics.lira import confidence, lira
from rurklib.metrics.registry import METRICS
from rurklib.metrics.relearn import few_shots
from rurklib.metrics.shadow_models import klom, u_lira

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["METRICS", "accuracy", "confidence", "few_shots", "klom", "lira", "mia", "u_lira"]
