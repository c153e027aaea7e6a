"""Checks: what passes, and that nothing of the caller's is touched. Refusals: test_refusals.py."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from rurklib import InputError, checks, residual_knowledge, unlearn


def test_bounds_may_be_open_and_of_any_real_type():
    for good in (None, (0, 1), [0.0, 1.0], (-math.inf, math.inf), (np.float32(0), np.float64(1))):
        checks.inputs(torch.rand(4, 2), good)
    checks.disjoint(torch.tensor([[1, 2], [3, 4]]), torch.tensor([[2, 1]]))


def test_logits_are_tried_without_a_trace(cnn, images, left_as_found):
    """Fails if the trial moves BatchNorm, or leaves the model in eval mode."""
    x, y = images(4)
    net = cnn().train()
    with left_as_found(net):
        assert checks.logits(net, x, y) == 3


class Centred(nn.Module):
    """Normalises what it was given, in place."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        x -= 0.5
        return self.net(x)


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8])
def test_a_net_that_writes_into_its_input_is_named_and_your_samples_stay(dtype, cnn, images):
    """Fails if the caller's samples are overwritten, or if the next net sees what is left."""
    x, y = images(8)
    x = (x * 255).to(dtype) if dtype == torch.uint8 else x
    before, good, bad = x.clone(), cnn(), Centred(cnn())
    for ask, name in (
        (lambda: residual_knowledge(good, {"a": good, "b": bad}, x, y, taus=[0.1]), "b"),
        (lambda: residual_knowledge(bad, [good], x, y, taus=[0.1]), "model"),
        (lambda: unlearn("GD", bad, (x[:4], y[:4]), (x[4:], y[4:])), "model"),
    ):
        with pytest.raises(InputError, match=rf"^{name} writes into its input"):
            ask()
    assert torch.equal(x, before)
