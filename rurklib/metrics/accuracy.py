"""Retain, unlearn and test accuracy (paper, sec. 5): how often the label is the top class."""

from __future__ import annotations

from torch import Tensor, nn

from rurklib.metrics.shown import logits


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of samples whose top class is y, in percent. Unlearn accuracy is 100 minus this
    on the forget set. x [n, ...] uint8 or float, y int64 [n]; the model is left as found."""
    return 100 * int((logits(model, x).argmax(1) == y).sum()) / len(y)
