"""Residual knowledge: counts -> estimates -> frame. Estimators never touch a model."""

from rurklib.residual.counts import Counts, Measurement, count_hits
from rurklib.residual.disagreement import disagreement
from rurklib.residual.flags import Flag
from rurklib.residual.measure import assemble, residual_knowledge
from rurklib.residual.reference_subsets import against_reference_subsets
from rurklib.residual.result import ResidualKnowledge
from rurklib.residual.smoother import noisy_copies
from rurklib.residual.statistics import Placement, placement
from rurklib.residual.verdict import Verdict, judge

__all__ = [
    "Counts", "Flag", "Measurement", "Placement", "ResidualKnowledge", "Verdict",
    "against_reference_subsets", "assemble", "count_hits", "disagreement", "judge",
    "noisy_copies", "placement", "residual_knowledge",
]  # fmt: skip
