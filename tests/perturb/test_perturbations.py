"""PERTURBATIONS by name: each draws from the law that it is named after.

Projected on one direction, a uniform point of the sphere S^(d-1) is (u + 1) / 2 ~ Beta((d-1)/2,
(d-1)/2), of the L2 ball Beta((d+1)/2, (d+1)/2); a coordinate of the L1 ball is |u| ~ Beta(1, d)
with a random sign, of the L-inf ball it is uniform.
"""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from rurklib.perturb.ball import norm
from rurklib.perturb.perturbations import PERTURBATIONS

P = {"uniform-linf": math.inf, "uniform-l2": 2, "uniform-l1": 1, "sphere-l2": 2}
PGD = ("pgd", "pgd-l2", "pgd-l1")


def drawn(name, n, d, tau, rng, bounds=None, at=0.5):
    """x, and displacements [n, d] of copies of it under a law that looks at no model."""
    x = torch.full((n, d), at, dtype=torch.float64)
    return x, PERTURBATIONS[name].sample(None, x, None, tau, rng(0), bounds) - x


def marginal(name, d):
    """Distribution function of a coordinate's displacement at tau = 1."""
    if name == "uniform-linf":
        return stats.uniform(-1, 2).cdf
    if name == "uniform-l1":
        return lambda u: 0.5 + np.sign(u) * stats.beta(1, d).cdf(np.abs(u)) / 2
    shape = (d + 1) / 2 if name == "uniform-l2" else (d - 1) / 2
    return lambda u: stats.beta(shape, shape).cdf((u + 1) / 2)


@pytest.mark.parametrize("name", P)
@pytest.mark.parametrize("d", [2, 5, 12])
def test_radial_law_and_marginals(name, d, rng):
    """Fails if a name has another norm, if the radius is uniform, if tau doesn't scale it,
    or if the sphere's points have a radius of their own."""
    tau, n = 0.3, 3000
    _, moved = drawn(name, n, d, tau, rng)
    radius = norm(moved, P[name]) / tau
    if name == "sphere-l2":
        assert torch.allclose(radius, torch.ones_like(radius), atol=1e-12)
    else:
        assert radius.max() <= 1
        assert stats.kstest((radius**d).numpy(), "uniform").pvalue > 0.01
    for column in (0, d - 1):
        assert stats.kstest((moved[:, column] / tau).numpy(), marginal(name, d)).pvalue > 0.01
    correlation = np.corrcoef(moved[:, 0].numpy(), moved[:, -1].numpy())[0, 1]
    assert abs(correlation) < 4 / math.sqrt(n)


@pytest.mark.parametrize("name", ["gaussian", *P])
def test_clipping_only_moves_a_copy_nearer(name, rng):
    """The same copies, each coordinate clipped: inside bounds and ball, with mass on the face.
    Fails if a law forgets the bounds, or draws anew until a copy is inside."""
    _, free = drawn(name, 500, 4, 0.5, rng, at=0.1)
    x, moved = drawn(name, 500, 4, 0.5, rng, bounds=(0.0, 1.0), at=0.1)
    assert torch.allclose(x + moved, (x + free).clamp(0, 1), atol=1e-15)
    assert (x + moved).min() == 0
    assert (moved.abs() <= free.abs() + 1e-15).all()
    on_the_face = ((x + moved) == 0).double().mean().item()
    below = ((x + free) < 0).double().mean().item()
    assert on_the_face == pytest.approx(below)
    assert below > 0.05


@pytest.mark.parametrize("kind", ["", "-untargeted"])
@pytest.mark.parametrize("name", PGD)
def test_draws_searched_together_are_what_each_is_alone(name, kind, cnn, images, rng):
    """Three draws in one batch, cut anywhere: the same copies. Fails if ``search`` starts
    somewhere else than ``start`` says, or if draws share a start."""
    law, net, (x, y) = PERTURBATIONS[name + kind], cnn(), images(4)
    rest = (0.2, torch.Generator(), (0.0, 1.0))
    alone = [law.sample(net, x, y, 0.2, rng(i), rest[2]) for i in range(3)]
    starts = torch.cat([law.start(x, 0.2, rng(i), rest[2]) for i in range(3)])
    xs, ys = x.repeat(3, 1, 1, 1), y.repeat(3)
    for pieces in ([12], [5, 7]):
        cut = zip(xs.split(pieces), ys.split(pieces), starts.split(pieces), strict=True)
        together = torch.cat([law.search(net, a, b, 0.2, s, rest[2]) for a, b, s in cut])
        assert torch.allclose(together, torch.cat(alone), atol=1e-6), pieces
    assert (alone[0] != alone[1]).any() or name == "pgd-l1"


@pytest.mark.parametrize("name", PGD)
def test_a_search_starts_inside_ball_and_box(name, rng):
    """Black and white pixels leave no room on one side. Fails if the start isn't projected."""
    x = torch.rand(50, 6, generator=rng(3)).round()
    d = PERTURBATIONS[name].start(x, 0.5, rng(0), (0.0, 1.0))
    p = {"pgd": math.inf, "pgd-l2": 2, "pgd-l1": 1}[name]
    assert (norm(d, p) <= 0.5 + 1e-6).all()
    assert (x + d).min() >= 0
    assert (x + d).max() <= 1
    assert d.abs().max() > 0.1


@pytest.mark.parametrize("name", [n for n, law in PERTURBATIONS.items() if not law.tokens])
def test_laws_leave_the_model_and_the_random_state(
    name, cnn, images, rng, left_as_found, same_random_state
):
    """Modes are compared submodule by submodule. Fails after a blanket ``model.train()``, a moved
    BatchNorm statistic, a ``.grad`` filled by ``backward()``, or a draw from the global state."""
    net, (x, y) = cnn(), images(3)
    net.train()
    net[2].eval()  # a layer that the user froze; BatchNorm is left in train mode
    net[0].weight.requires_grad_(False)
    net[5].bias.grad = torch.ones_like(net[5].bias)
    with left_as_found(net), same_random_state():
        out = PERTURBATIONS[name].sample(net, x, y, 0.2, rng(0), (0.0, 1.0))
        assert not out.requires_grad
        assert torch.equal(PERTURBATIONS[name].sample(net, x, y, 0.0, rng(0), (0.0, 1.0)), x)
        assert torch.equal(out, PERTURBATIONS[name].sample(net, x, y, 0.2, rng(0), (0.0, 1.0)))
