"""The logit margins that are counted beside the hits."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rurklib.residual.counts import count_hits
from rurklib.residual.spec import Measurement


def counted(models, x, y, *, found_on=None, references=(), **asked):
    return count_hits(models, x, y, Measurement(**asked), found_on=found_on, references=references)


def test_margins_of_a_linear_net(linear):
    """Three classes: the logit of y less the log-sum-exp of the other two. At tau = 0 one copy
    stands for all draws; with noise the mean over draws is within 4 standard errors of the value
    without (two equal classes make the margin linear). Fails if the sum is divided by another
    number of copies, or y is left among the others (log-softmax)."""
    net = linear([[0.0, 0], [0.0, 0], [3.0, -4.0]], bias=[0.0, 0.0, 0.5], dtype=torch.float32)
    x = torch.tensor([[0.1, 0.2], [0.9, 0.1]])
    y = torch.tensor([2, 2])
    counts = counted({"m": net}, x, y, taus=(0.0, 0.2), draws=900, bounds=None)
    exact = 3 * x[:, 0] - 4 * x[:, 1] + 0.5 - np.log(2)
    assert counts.margins.shape == counts.hits.shape
    assert counts.margins.dtype == np.float64
    assert counts.margins[0, 0] == pytest.approx(exact.numpy(), abs=1e-6)
    assert counts.margins[0, 1] == pytest.approx(exact.numpy(), abs=4 * 0.2 * 5 / 30)
    assert not np.array_equal(*counts.margins[0])


def test_margins_keep_what_a_float_would_lose(linear):
    """2 ** 24 - log 2 isn't a float32; the log of the probability would be 0."""
    net = linear([[0.0], [0.0], [2.0**24]], dtype=torch.float32)
    counts = counted({"m": net}, torch.ones(1, 1), torch.tensor([2]), taus=[0.0], draws=3)
    assert counts.margins.item() == pytest.approx(2**24 - np.log(2), abs=1e-6)
    assert counts.hits.item() == 3
