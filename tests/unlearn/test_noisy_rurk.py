"""NoisyRURK: plain gradient descent without noise, the noise's size, the ball, and epsilon where it
is known."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rurklib import InputError, unlearn
from rurklib.unlearn.noisy_rurk import noisy_step, renyi_epsilon

PLAIN = {"sigma": 0.0, "radius": math.inf, "steps": 4, "lr": 0.3}


def flat(net: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in net.parameters()])


@pytest.mark.parametrize("batch_size", [2, 100])
def test_without_noise_and_ball_it_is_full_steps_by_hand(batch_size, flat_task):
    """At tau = 0 a copy is its sample. Fails with a batch's gradient for all samples', a sign, a
    rate that falls, momentum, or pieces of unequal length that count alike."""
    net, retain, forget = flat_task
    w = net.weight.detach().clone().requires_grad_()
    for _ in range(4):
        kept, lost = (F.cross_entropy(x @ w.T, y) for x, y in (retain, forget))
        (g,) = torch.autograd.grad(kept - (0.2 + 0.1) * lost, w)
        w = (w - 0.3 * g).detach().requires_grad_()
    values = {"tau": 0.0, "lambda_f": 0.2, "lambda_a": 0.1, "bounds": None}
    got = unlearn("NoisyRURK", net, retain, forget, batch_size=batch_size, **PLAIN, **values)
    torch.testing.assert_close(got.weight, w)


def test_perturbed_copies_are_used(task):
    """Fails if the perturbed term isn't of noisy copies."""
    still, moved = (unlearn("NoisyRURK", *task, tau=t, lambda_a=1.0, **PLAIN) for t in (0.0, 0.3))
    assert not torch.equal(flat(still), flat(moved))


def test_the_noise_has_the_variance_of_the_formula():
    """sd sqrt(2 eta) sigma, fresh for each step and weight. Fails with eta sigma (NGD's), or one
    draw for all."""
    weights = [torch.zeros(200, 100), torch.zeros(20_000)]
    drawn = torch.Generator().manual_seed(0)
    for _ in range(3):
        noisy_step(weights, lr=0.02, sigma=0.5, radius=math.inf, generator=drawn)
    w = torch.cat([w.flatten() for w in weights])
    assert float(w.var()) == pytest.approx(3 * 2 * 0.02 * 0.25, rel=0.03)
    assert abs(float(w.mean())) < 4 * float(w.std()) / math.sqrt(len(w))
    assert abs(float((weights[0].flatten() * weights[1]).mean())) < 4 * float(w.var()) / 141


def test_the_ball_is_that_of_all_weights_together(task):
    """To its surface, in the same direction. Fails if each tensor has a ball of its own, or what is
    inside is moved too."""
    free = flat(unlearn("NoisyRURK", *task, **{**PLAIN, "steps": 1}))
    tight = flat(unlearn("NoisyRURK", *task, **{**PLAIN, "steps": 1, "radius": 0.7}))
    assert float(tight.norm()) == pytest.approx(0.7, rel=1e-5)
    torch.testing.assert_close(tight, free * (0.7 / free.norm()))
    wide = {**PLAIN, "steps": 1, "radius": 1.01 * float(free.norm())}
    assert torch.equal(flat(unlearn("NoisyRURK", *task, **wide)), free)


def gaussians(order, starts, apart, *, lr, sigma, steps, c):
    """Renyi divergence between the ends of two chains w <- c w + lr apart + sqrt(2 lr) sigma W."""
    powers = [c**t for t in range(steps)]
    gap = c**steps * starts + lr * apart * sum(powers)
    variance = 2 * lr * sigma**2 * sum(p * p for p in powers)
    return order * gap**2 / (2 * variance)


@pytest.mark.parametrize("c", [0.8, 1.0, 1.05])
def test_epsilon_is_exact_for_two_ends_of_the_ball_on_a_parabola(c):
    """Gradient steps on a parabola, no projection (which can only lower it): the ends are Gaussians
    with one variance. Fails with R for 2 R, a variance without its 2, a power too few."""
    how = {"lr": 0.1, "sigma": 0.7, "steps": 12}
    exact = gaussians(3.0, 2 * 1.5, 0.0, c=c, **how)
    assert renyi_epsilon(3.0, radius=1.5, lipschitz=c, **how) == pytest.approx(exact)


@pytest.mark.parametrize("c", [0.8, 1.0, 1.05])
@pytest.mark.parametrize("steps", [1, 7, 40])
def test_a_difference_of_the_losses_adds_to_it(c, steps):
    """Both at once. Fails if it bounds less than is there: k steps from the two ends of the ball,
    for the k that bounds best, are one way in which two runs can end."""
    how = {"lr": 0.1, "sigma": 0.7}
    bound = renyi_epsilon(2.0, radius=1.5, lipschitz=c, apart=0.4, steps=steps, **how)
    least = min(gaussians(2.0, 3.0, 0.4, c=c, steps=k, **how) for k in range(1, steps + 1))
    assert bound >= least * (1 - 1e-9)
    assert bound > renyi_epsilon(2.0, radius=1.5, lipschitz=c, steps=steps, **how)
    assert bound == pytest.approx(least) if c == 1 else bound <= 3 * least


def test_more_steps_never_cost_more_and_none_of_it_is_free():
    how = {"radius": 1.0, "lr": 0.1, "sigma": 0.5, "apart": 0.3}
    found = [renyi_epsilon(2.0, steps=k, **how) for k in (1, 5, 50, 500)]
    assert found == sorted(found, reverse=True)
    assert found[-1] > 0
    assert renyi_epsilon(4.0, steps=5, **how) == pytest.approx(2 * found[1])
    assert renyi_epsilon(2.0, steps=5, **{**how, "sigma": 0.0}) == math.inf
    assert renyi_epsilon(2.0, steps=5, **{**how, "radius": math.inf}) == math.inf
    with pytest.raises(InputError, match="order"):
        renyi_epsilon(0.5, steps=5, **how)
    with pytest.raises(InputError, match="apart = -1"):
        renyi_epsilon(2.0, steps=5, **{**how, "apart": -1})
