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


def strong_and_weak(n: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    """One feature that tells nine in ten apart by 0.4, and 50 that all tell them by 0.04, less than
    the radius (Tsipras et al., 2019): a net that heeds these is right, until somebody pushes."""
    g = torch.Generator().manual_seed(1)
    y = torch.arange(n) % 2
    side = 2.0 * y - 1
    kept = torch.where(torch.rand(n, generator=g) < 0.9, side, -side)
    weak = 0.02 * side[:, None] + 0.05 * torch.randn(n, 50, generator=g)
    x = 0.5 + torch.cat([0.2 * kept[:, None], weak], 1)
    return x.clamp(0.11, 0.89), y


def test_one_step_is_a_step_at_the_worst_copy():
    """No momentum, one batch: w - lr * gradient at the corner. Fails if the search goes towards y,
    stays at the sample, or its gradients are left in the weights."""
    x, y = strong_and_weak(32)
    expected = net(51)
    worst(expected, x, y, RADIUS).backward()
    with torch.no_grad():
        for p in expected.parameters():
            p -= 0.5 * p.grad
    asked = {**PLAIN, "epochs": 1, "momentum": 0.0, "adversarial": RADIUS}
    ours = fit(net(51), x, y, **asked)
    for own, other in zip(ours.parameters(), expected.parameters(), strict=True):
        assert torch.allclose(own, other, atol=1e-6)


def test_it_lowers_the_loss_at_the_worst_copy_and_pays_for_it():
    """Fails if what is trained isn't what is asked: the plain net has the lower loss on samples,
    the other the lower one within the radius, by half and more, for it lets weak features be."""
    x, y = strong_and_weak()
    plain, robust = (fit(net(51), x, y, **PLAIN, adversarial=r) for r in (0.0, RADIUS))
    with torch.no_grad():
        assert worst(robust, x, y, RADIUS) < 0.5 * worst(plain, x, y, RADIUS)
        assert F.cross_entropy(plain(x), y) < F.cross_entropy(robust(x), y)
        weak, shy = ((n[1].weight[1] - n[1].weight[0])[1:].abs().mean() for n in (plain, robust))
    assert shy < 0.2 * weak
