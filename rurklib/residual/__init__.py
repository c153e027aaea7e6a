"""Residual knowledge: counts -> statistics -> verdict. Only ``count`` touches a model."""

from rurklib.residual.counts import Counts, Measurement, count
from rurklib.residual.flags import Flag
from rurklib.residual.measure import residual_knowledge
from rurklib.residual.result import ResidualKnowledge
from rurklib.residual.verdict import Verdict, judge

__all__ = [
    "Counts",
    "Flag",
    "Measurement",
    "ResidualKnowledge",
    "Verdict",
    "count",
    "judge",
    "residual_knowledge",
]
