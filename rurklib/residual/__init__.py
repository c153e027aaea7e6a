"""Residual knowledge: counts -> estimates -> frame. Estimators never touch a model."""

from rurklib.residual.counts import Counts, Measurement, count_hits
from rurklib.residual.flags import Flag
from rurklib.residual.measure import assemble, residual_knowledge
from rurklib.residual.result import ResidualKnowledge
from rurklib.residual.statistics import Placement, placement
from rurklib.residual.verdict import Verdict, judge

__all__ = [
    "Counts", "Flag", "Measurement", "Placement", "ResidualKnowledge", "Verdict",
    "assemble", "count_hits", "judge", "placement", "residual_knowledge",
]  # fmt: skip
