"""Retain, unlearn and test accuracy (paper, sec. 5): how often the label is the top class."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rurklib import check
from rurklib.guard import evaluating


def accuracy(model: nn.Module, x: Tensor, y: Tensor, batch_size: int = 1000) -> float:
    """Share of samples whose top class is y, in percent. Unlearn accuracy is 100 minus this
    on the forget set. x [n, ...] uint8 or float, y int64 [n]; the model is left as found."""
    hits = 0
    with evaluating(model), torch.inference_mode():
        for xb, yb in zip(x.split(batch_size), y.split(batch_size), strict=True):
            hits += int((model(check.as_float(xb)).argmax(1) == yb).sum())
    return 100 * hits / len(y)
