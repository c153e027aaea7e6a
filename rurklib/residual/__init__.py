"""Residual knowledge: counts -> estimates -> frame. Estimators never touch a model."""

from rurklib.residual.counts import Counts, count_hits
from rurklib.residual.measure import ResidualKnowledge, residual_knowledge
from rurklib.residual.verdict import Verdict, judge

__all__ = [
    "Counts",
    "ResidualKnowledge",
    "Verdict",
    "count_hits",
    "judge",
    "residual_knowledge",
]
