"""NGD: GD when the noise is 0; otherwise noise of the size, freshness and seed that it claims."""

import math

import torch
from torch import nn

from rurklib.tensors import generator
from rurklib.unlearn.ngd import ngd, noise_term


def blank(inputs: int, seed: int = 0) -> tuple[nn.Module, tuple, tuple]:
    """A linear model on inputs that are all 0: its weight has no gradient but the noise."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Flatten(), nn.Linear(inputs, 20))
    y = torch.arange(6)
    return net, (torch.zeros(6, inputs), y), (torch.ones(6, inputs), y)


def test_the_noise_term_has_the_gradient_sigma_xi() -> None:
    """Catches sigma squared or left out, one number for a whole tensor, and a reused draw."""
    weights = [nn.Parameter(torch.randn(3, 4)), nn.Parameter(torch.randn(5))]
    xi = generator(7)
    drawn = [torch.randn(w.shape, generator=xi) for w in weights + weights]
    stream = generator(7)
    for step in range(2):
        grads = torch.autograd.grad(noise_term(weights, 0.3, stream), weights)
        for grad, draw in zip(grads, drawn[2 * step : 2 * step + 2], strict=True):
            torch.testing.assert_close(grad, 0.3 * draw)


def test_weights_without_a_gradient_walk_at_random_with_the_right_variance() -> None:
    """w_T - w_0 = sum over steps of -eta_t sigma xi_t: variance sigma^2 sum eta_t^2. Catches noise
    drawn once for all steps (variance sigma^2 (sum eta_t)^2), or not scaled by eta or sigma."""
    net, retain, forget = blank(500)
    sigma, lr, steps = 0.03, 0.1, 8
    after = ngd(net, retain, forget, sigma=sigma, lr=lr, epochs=steps, weight_decay=0.0)
    walk = (after[1].weight - net[1].weight).detach()  # 10,000 weights: the sd is known to 1%
    etas = [lr / 2 * (1 + math.cos(math.pi * t / steps)) for t in range(steps)]
    expected = sigma * math.sqrt(sum(eta**2 for eta in etas))
    assert abs(float(walk.std()) / expected - 1) < 0.04
    assert abs(float(walk.mean())) < 4 * expected / 100


def test_the_seed_decides_the_noise() -> None:
    """On inputs without a gradient, so that no order of batches plays a part."""
    net, retain, forget = blank(50)
    first, other = (ngd(net, retain, forget, seed=s, epochs=2)[1].weight for s in (5, 6))
    assert not torch.allclose(first, other, atol=1e-4)
