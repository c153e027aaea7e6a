"""Adversarial training on linear nets, where the worst copy and its loss have closed forms."""

import torch
import torch.nn.functional as F
from torch import nn

from rurklib.train import fit

PLAIN = {"seed": 0, "epochs": 30, "lr": 0.5, "weight_decay": 0.0, "batch_size": 64}
RADIUS = 0.1


def net(d: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(d, 2))


def worst(model: nn.Module, x: torch.Tensor, y: torch.Tensor, radius: float) -> torch.Tensor:
    """The largest mean loss within the radius: each coordinate moves against the weights of y."""
    w = model[1].weight
    away = (w[1 - y] - w[y]).sign().view_as(x)
    return F.cross_entropy(model(x + radius * away), y)


def test_one_step_is_a_step_at_the_worst_copy():
    """No momentum, one batch: w - lr * gradient at the corner. Fails if the search goes towards y,
    stays at the sample, or its gradients are left in the weights."""
    x = 0.2 + 0.6 * torch.rand(32, 51, generator=torch.Generator().manual_seed(1))
    y = torch.arange(32) % 2
    expected = net(51)
    worst(expected, x, y, RADIUS).backward()
    with torch.no_grad():
        for p in expected.parameters():
            p -= 0.5 * p.grad
    asked = {**PLAIN, "epochs": 1, "momentum": 0.0, "adversarial": RADIUS}
    ours = fit(net(51), x, y, **asked)
    for own, other in zip(ours.parameters(), expected.parameters(), strict=True):
        assert torch.allclose(own, other, atol=1e-6)
