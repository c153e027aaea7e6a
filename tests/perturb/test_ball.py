"""Balls: the projection against independent solvers, and the law of uniform points."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from rurklib.perturb.ball import norm, project, uniform
from rurklib.perturb.noise import matched_radius

NORMS = (1, 2, math.inf)


def nearest(d, x, tau, p, bounds):
    """The same projection by SLSQP: min ||z - d||^2 in ball and box. L1 splits z into z+ - z-."""
    low, high = bounds
    n = len(d)
    if p == 1:
        split = [(0, high - v) for v in x] + [(0, v - low) for v in x]
        ball = {"type": "ineq", "fun": lambda z: tau - z.sum()}
        fun, start = (lambda z: ((z[:n] - z[n:] - d) ** 2).sum()), np.full(2 * n, 1e-3)
        z = optimize.minimize(fun, start, bounds=split, constraints=ball, method="SLSQP").x
        return z[:n] - z[n:]
    box = [(low - v, high - v) for v in x]
    if p == 2:
        ball = {"type": "ineq", "fun": lambda z: tau**2 - (z**2).sum()}
    else:
        ball = {"type": "ineq", "fun": lambda z: np.concatenate([tau - z, tau + z])}
    fun = lambda z: ((z - d) ** 2).sum()  # noqa: E731
    options = {"ftol": 1e-12, "maxiter": 500}
    return optimize.minimize(
        fun, np.zeros(n), bounds=box, constraints=ball, method="SLSQP", options=options
    ).x


@pytest.mark.parametrize("p", NORMS)
def test_projection_is_the_nearest_point(p):
    """Against SLSQP in three dimensions. Fails if the box is clipped after an exact projection
    onto the ball alone (in both sets, but not nearest), and if L1 rescales instead of
    soft-thresholding."""
    rng = np.random.default_rng(0)
    for _ in range(15):
        x, d, tau = rng.uniform(0, 1, 3), rng.normal(0, 0.8, 3), rng.uniform(0.1, 0.8)
        ours = project(torch.tensor(d)[None], torch.tensor(x)[None], tau, p, (0.0, 1.0))[0]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            other = nearest(d, x, tau, p, (0.0, 1.0))
        # Compared by distance: SLSQP may stop a little short, never closer than the optimum.
        ours_far, other_far = np.linalg.norm(ours.numpy() - d), np.linalg.norm(other - d)
        assert ours_far == pytest.approx(other_far, abs=1e-5)
        assert np.allclose(ours.numpy(), other, atol=2e-3)


def test_projection_onto_l1_by_hand():
    """(0.9, 0.5, 0.1) onto the L1 ball of radius 1: threshold 0.2 leaves (0.7, 0.3, 0)."""
    d = torch.tensor([[0.9, -0.5, 0.1]], dtype=torch.float64)
    out = project(d, torch.zeros_like(d), 1.0, 1, None)
    assert torch.allclose(out, torch.tensor([[0.7, -0.3, 0.0]], dtype=torch.float64), atol=1e-9)


vectors = st.lists(
    st.tuples(st.floats(0, 1, width=32), st.floats(-3, 3, width=32)), min_size=2, max_size=6
)


@settings(max_examples=60, deadline=None)
@given(vectors, st.floats(0.001, 2), st.sampled_from(NORMS), st.booleans())
def test_projection_stays_inside_and_leaves_feasible_points(pairs, tau, p, bounded):
    x = torch.tensor([a for a, _ in pairs], dtype=torch.float64)[None]
    d = torch.tensor([b for _, b in pairs], dtype=torch.float64)[None]
    bounds = (0.0, 1.0) if bounded else None
    out = project(d, x, tau, p, bounds)
    assert norm(out, p).item() <= tau + 1e-9
    if bounded:
        assert (x + out).min() >= -1e-12
        assert (x + out).max() <= 1 + 1e-12
    assert torch.allclose(project(out, x, tau + 1e-12, p, bounds), out, atol=1e-9)  # idempotent
    half = out / 2  # ball and box are convex and hold 0, so half-way is inside: left alone
    assert torch.equal(project(half, x, tau, p, bounds), half)


def test_samples_are_projected_one_by_one():
    """Fails if one mu is sought for the whole batch."""
    gen = torch.Generator().manual_seed(0)
    d, x = torch.randn(5, 1, 2, 2, generator=gen), torch.rand(5, 1, 2, 2, generator=gen)
    for p in NORMS:
        together = project(d, x, 0.3, p, (0.0, 1.0))
        alone = [project(d[i : i + 1], x[i : i + 1], 0.3, p, (0.0, 1.0)) for i in range(5)]
        assert torch.equal(together, torch.cat(alone))


def test_radius_zero_leaves_nothing():
    """tau = 0 is a ball of one point, in every norm."""
    d = torch.tensor([[0.3, -0.4]])
    for p in NORMS:
        assert torch.equal(project(d, torch.zeros(1, 2), 0.0, p, None), torch.zeros(1, 2)), p


@pytest.mark.parametrize("p", NORMS)
@pytest.mark.parametrize("d", [1, 7, 64])
def test_noise_alike_in_size(p, d):
    """The radius gives uniform noise the root mean square of Gaussian noise, in every norm."""
    x, radius = torch.zeros(40_000, d, dtype=torch.float64), matched_radius(0.3, p, d)
    noise = uniform(x, radius, torch.Generator().manual_seed(d), p)
    assert noise.square().mean().sqrt().item() == pytest.approx(0.3, rel=0.02)
