"""Residual knowledge: counts -> estimates -> frame. Estimators never touch a model."""

from rurklib.residual.controls import noisy_copies
from rurklib.residual.counts import Counts, count_hits
from rurklib.residual.disagree import disagreement
from rurklib.residual.fewer import against_fewer
from rurklib.residual.flags import Flag
from rurklib.residual.measure import residual_knowledge
from rurklib.residual.result import ResidualKnowledge
from rurklib.residual.verdict import Verdict, judge

__all__ = [
    "Counts",
    "Flag",
    "ResidualKnowledge",
    "Verdict",
    "against_fewer",
    "count_hits",
    "disagreement",
    "judge",
    "noisy_copies",
    "residual_knowledge",
]
