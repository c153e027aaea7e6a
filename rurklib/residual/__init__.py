"""Residual knowledge: counts -> estimates -> frame. Estimators never touch a model."""

from rurklib.residual.counts import Counts, count_hits
from rurklib.residual.measure import ResidualKnowledge, residual_knowledge

__all__ = ["Counts", "ResidualKnowledge", "count_hits", "residual_knowledge"]
