"""l1-sparse: GD without its penalty, one step by hand, and weights that go to zero."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from rurklib import unlearn


def test_two_steps_by_hand(rng):
    """w <- w - eta (g + gamma_t sign(w)): gamma falls to half at the second of two steps, eta to
    half by the cosine. Fails if the penalty is a mean, squared, constant, or of one layer."""
    net = nn.Linear(3, 2).double()
    x = torch.rand(9, 3, generator=rng(0), dtype=torch.float64)
    y = torch.arange(9) % 2
    retain = (x[:5], y[:5])
    lr, gamma = 0.3, 0.07
    out = unlearn(
        "l1-sparse", net, retain, (x[5:], y[5:]),
        gamma=gamma, epochs=2, lr=lr, momentum=0.0, weight_decay=0.0,
    )  # fmt: skip
    w, b = net.weight.detach().clone(), net.bias.detach().clone()
    for t in (0, 1):
        eta = lr / 2 * (1 + math.cos(math.pi * t / 2))
        p = (torch.softmax(retain[0] @ w.T + b, 1) - F.one_hot(retain[1], 2)) / 5
        now = gamma * (1 - t / 2)
        w, b = (
            w - eta * (p.T @ retain[0] + now * w.sign()),
            b - eta * (p.sum(0) + now * b.sign()),
        )
    assert torch.allclose(out.weight, w, atol=1e-12)
    assert torch.allclose(out.bias, b, atol=1e-12)
