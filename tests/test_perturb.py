"""Perturbations: distributions in closed form, projections by a solver, optima on linear nets."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from torch import nn

from rurklib.edits import check_texts
from rurklib.perturb import (
    BALLS,
    PERTURBATIONS,
    SEARCHES,
    InPieces,
    fgsm,
    gaussian,
    norm,
    pgd,
    project,
    random_start,
    uniform,
)

ON_IMAGES = [name for name, rule in PERTURBATIONS.items() if rule.check is not check_texts]
NORMS = (1, 2, math.inf)
UNIT = (0.0, 1.0)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    name=st.sampled_from(ON_IMAGES),
    tau=st.sampled_from([0.0, 0.01, 0.2, 3.0]),
    bounds=st.sampled_from([UNIT, (-0.5, 7.0), None]),
    on_edge=st.booleans(),
)
def test_every_perturbation(
    name, tau, bounds, on_edge, cnn, images, rng, left_as_found, same_random_state
):
    """Copies lie in box and ball, draw by draw, also of black and white pixels; draws made together
    are what each is alone; tau = 0 gives x; the generators decide. Fails if a search isn't
    projected, if draws share a stream, and after a blanket ``model.train()``, a moved BatchNorm
    statistic, a ``.grad`` filled by ``backward()`` or a draw from the global state."""
    rule, net, (x, y) = PERTURBATIONS[name], cnn(), images(4)
    x = x.round() if on_edge else x
    net.train()
    net[2].eval()  # a layer that the user froze; BatchNorm is left in train mode
    net[0].weight.requires_grad_(False)
    net[5].bias.grad = torch.ones_like(net[5].bias)
    with left_as_found(net), same_random_state():
        copies = rule.sample(net, x, y, tau, [rng(i) for i in range(3)], bounds)
        pieces = rule.sample(InPieces(net, 5), x, y, tau, [rng(i) for i in range(3)], bounds)
        alone = torch.cat([rule.sample(net, x, y, tau, [rng(i)], bounds) for i in range(3)])
    assert not copies.requires_grad
    assert torch.allclose(pieces, copies, atol=1e-5)
    assert torch.allclose(alone, copies, atol=1e-5)
    if tau == 0:
        assert torch.equal(copies, x.repeat(3, 1, 1, 1))
    if bounds is not None:
        assert bounds[0] <= copies.min()
        assert copies.max() <= bounds[1]
    if name != "gaussian":
        p = {**BALLS, **SEARCHES}[name.removesuffix("-untargeted")] or math.inf
        assert (norm(copies - x.repeat(3, 1, 1, 1), p) <= tau + 1e-5).all()


@pytest.mark.parametrize("name", ON_IMAGES)
def test_random_and_gradient_based_are_true(name, cnn, images, rng):
    """One draw stands for all where ``random`` is False; which model matters where
    ``gradient_based``. Fails if a flag is wrong."""
    rule, net, (x, y) = PERTURBATIONS[name], cnn(), images(12)  # in L1 many starts share a corner
    first, second = (rule.sample(net, x, y, 0.1, [rng(seed)], UNIT) for seed in (0, 1))
    assert torch.equal(first, second) != rule.random
    other = rule.sample(cnn(5), x, y, 0.1, [rng(0)], UNIT)
    assert torch.equal(first, other) != rule.gradient_based
    if rule.gradient_based:
        loss = nn.CrossEntropyLoss(reduction="none")
        change = (loss(net(first), y) - loss(net(x), y)).detach()
        assert (change > 0 if name.endswith("untargeted") else change < 0).all()


@pytest.mark.parametrize("name", ["gaussian", *BALLS])
def test_noise_is_clipped_and_not_drawn_anew(name, rng):
    """The same copies, each coordinate clipped, with a lump of mass on the face of the box."""
    x = torch.full((500, 4), 0.1)
    free, copies = (
        PERTURBATIONS[name].sample(None, x, None, 0.5, [rng(0)], bounds) for bounds in (None, UNIT)
    )
    assert torch.equal(copies, free.clamp(0, 1))
    assert (copies == 0).double().mean() > 0.05


def test_tau_is_the_standard_deviation_of_a_pixel(rng):
    """Fails if tau is taken as variance or as the norm of the whole displacement."""
    x = torch.full((50, 20, 20), 0.5)
    z = (gaussian(x, 0.03, generator=rng(0), bounds=None) - x) / 0.03
    assert abs(z.mean().item()) < 4 / math.sqrt(z.numel())
    assert stats.kstest(z.flatten().numpy(), "norm").pvalue > 0.01


def marginal(p, d):
    """Distribution function of a coordinate of a uniform point of the unit ball."""
    if p == math.inf:
        return stats.uniform(-1, 2).cdf
    if p == 1:
        return lambda u: 0.5 + np.sign(u) * stats.beta(1, d).cdf(np.abs(u)) / 2
    return lambda u: stats.beta((d + 1) / 2, (d + 1) / 2).cdf((u + 1) / 2)


@pytest.mark.parametrize("name", BALLS)
@pytest.mark.parametrize("d", [2, 5, 12])
def test_radius_and_coordinates_of_uniform_noise(name, d, rng):
    """Fails if a name has another norm, if the radius is uniform, or if tau doesn't scale it."""
    tau, x = 0.3, torch.zeros(3000, d, dtype=torch.float64)
    copies = PERTURBATIONS[name].sample(None, x, None, tau, [rng(0)], None) / tau
    radius = norm(copies, BALLS[name])
    assert stats.kstest((radius**d).numpy(), "uniform").pvalue > 0.01
    for column in (0, d - 1):
        assert stats.kstest(copies[:, column].numpy(), marginal(BALLS[name], d)).pvalue > 0.01
    correlation = np.corrcoef(copies[:, 0].numpy(), copies[:, -1].numpy())[0, 1]
    assert abs(correlation) < 4 / math.sqrt(len(x))


# --- the nearest point of ball and box ------------------------------------------------------------


def nearest(d, x, tau, p, bounds):
    """The same projection by SLSQP: min ||z - d||^2 in ball and box. L1 splits z into z+ - z-."""
    low, high = bounds
    n = len(d)
    if p == 1:
        box, sign = [(0, high - v) for v in x] + [(0, v - low) for v in x], np.eye(n)
        sign = np.hstack([sign, -sign])
    else:
        box, sign = [(low - v, high - v) for v in x], np.eye(n)
    ball = {
        1: lambda z: tau - z.sum(),
        2: lambda z: tau**2 - (z**2).sum(),
        math.inf: lambda z: np.concatenate([tau - z, tau + z]),
    }[p]
    found = optimize.minimize(
        lambda z: ((sign @ z - d) ** 2).sum(),
        np.full(len(box), 1e-3),
        bounds=box,
        constraints={"type": "ineq", "fun": ball},
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    )
    return sign @ found.x


@pytest.mark.parametrize("p", NORMS)
def test_projection_is_the_nearest_point(p):
    """Against SLSQP in three dimensions. Fails if the box is clipped after an exact projection
    onto the ball alone (in both sets, but not nearest), and if L1 rescales instead of
    soft-thresholding."""
    rng = np.random.default_rng(0)
    for _ in range(15):
        x, d, tau = rng.uniform(0, 1, 3), rng.normal(0, 0.8, 3), rng.uniform(0.1, 0.8)
        ours = project(torch.tensor(d)[None], torch.tensor(x)[None], tau, p, UNIT)[0]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            other = nearest(d, x, tau, p, UNIT)
        # Compared by distance: SLSQP may stop a little short, never closer than the optimum.
        ours_far, other_far = np.linalg.norm(ours.numpy() - d), np.linalg.norm(other - d)
        assert ours_far == pytest.approx(other_far, abs=1e-5)
        assert np.allclose(ours.numpy(), other, atol=2e-3)


pairs = st.tuples(st.floats(0, 1, width=32), st.floats(-3, 3, width=32))
samples = st.lists(st.lists(pairs, min_size=4, max_size=4), min_size=1, max_size=3)


@settings(max_examples=60, deadline=None)
@given(samples, st.floats(0, 2), st.sampled_from(NORMS), st.sampled_from([UNIT, None]))
def test_projection_stays_inside_and_leaves_what_is_inside(samples, tau, p, bounds):
    """Fails also if one mu is sought for the whole batch."""
    x, d = torch.tensor(samples, dtype=torch.float64).unbind(-1)
    found = project(d, x, tau, p, bounds)
    assert (norm(found, p) <= tau + 1e-9).all()
    if bounds:
        assert (x + found).min() >= -1e-12
        assert (x + found).max() <= 1 + 1e-12
    half = found / 2  # ball and box are convex and hold 0, so half-way is inside: left alone
    assert torch.equal(project(half, x, tau, p, bounds), half)
    alone = [project(d[i : i + 1], x[i : i + 1], tau, p, bounds) for i in range(len(x))]
    assert torch.equal(found, torch.cat(alone))


# --- the optimum on a linear net ------------------------------------------------------------------

BOXES = {"active": (UNIT, 0.5), "inactive": (UNIT, 0.05), "none": (None, 0.5)}


def best_gain(c, x, tau, p, bounds):
    """max c . d over ||d||_p <= tau and x + d inside bounds, one sample, independent of ours."""
    low, high = bounds or (-math.inf, math.inf)
    room = np.where(c > 0, high - x, x - low)  # how far each coordinate may go the right way
    if p == math.inf:
        return (np.abs(c) * np.minimum(room, tau)).sum()
    if p == 1:  # greedy: spend the budget on the steepest coordinate until its room is used up
        gain, left = 0.0, tau
        for i in np.argsort(-np.abs(c)):
            spent = min(left, room[i])
            gain, left = gain + spent * abs(c[i]), left - spent
        return gain

    def filled(level):  # water-filling: proportional to |c| until the room is used up
        return np.minimum(room, level * np.abs(c))

    if np.linalg.norm(room) <= tau:
        return (np.abs(c) * room).sum()
    level = optimize.brentq(lambda s: np.linalg.norm(filled(s)) - tau, 0, 1e6)
    return (np.abs(c) * filled(level)).sum()


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_finds_the_optimum_on_a_linear_net(name, targeted, box, linear, rng):
    """Copies by their ten steps, by twenty large ones, and from x itself. Fails if a name has
    another norm or sign, if the box is clipped after projecting (L2, L1 stop short), and if default
    steps together are too short to get there. In L2 ten end short of the optimum where the box
    bites: what it cuts off is spread over the other coordinates only little by little."""
    (bounds, tau), p = BOXES[box], SEARCHES[name] or math.inf
    net = linear(8)
    x = torch.rand(8, 2, 2, 2, generator=rng(8), dtype=torch.float64)
    x, y = 0.3 + 0.4 * x if box == "inactive" else x, torch.arange(8) % 2
    w = (net[1].weight[1] - net[1].weight[0]).detach().numpy()
    c = np.stack([w if (label == 1) == targeted else -w for label in y.tolist()])
    best = [best_gain(a, b.flatten().numpy(), tau, p, bounds) for a, b in zip(c, x, strict=True)]

    def gain(copies):
        return ((copies - x).flatten(1).numpy() * c).sum(1) / best

    rule = PERTURBATIONS[name if targeted else f"{name}-untargeted"]
    share = {math.inf: 0.999, 1: 0.98, 2: 0.7 if box == "active" else 0.95}[p]
    assert gain(rule.sample(net, x, y, tau, [rng(1)], bounds)).min() > share
    options = {"targeted": targeted, "bounds": bounds}
    start = random_start(x, tau, p, rng(0), bounds)
    large = pgd(net, x, y, tau, p, start=start, steps=20, step_size=2 * tau, **options)
    assert gain(large).min() > 0.99
    assert gain(large).max() < 1 + 1e-9
    if box == "none":
        assert gain(pgd(net, x, y, tau, p, steps=40, **options)).min() > 0.99


@pytest.mark.parametrize("times", [1.0, 30.0, 300.0])
@pytest.mark.parametrize("p", NORMS)
def test_a_net_that_is_sure_is_searched_as_well(times, p, linear, rng):
    """Logits times a constant: the same copies. Fails if the search follows a loss whose gradient
    is 0 in float32 where p_y is 1, or takes the L2 norm of tiny gradients without scaling."""
    x, y = torch.rand(8, 20, generator=rng(0)), torch.ones(8, dtype=torch.int64)
    weight, bias = torch.randn(3, 20, generator=rng(1)), torch.tensor([0.0, 20.0, 0.0])
    plain, sure = (linear(k * weight, k * bias, dtype=torch.float32) for k in (1.0, times))
    found, same = (pgd(net, x, y, 0.3, p) for net in (plain, sure))
    assert (found - x).abs().max() > 0.01
    nearer = [(plain(z)[:, 1] - plain(x)[:, 1]).mean().item() for z in (found, same)]
    assert nearer[1] == pytest.approx(nearer[0], rel=0.2)
    tiny = linear(1e-30 * weight, bias, dtype=torch.float32)
    assert (pgd(tiny, x, y, 0.3, p) - x).abs().max() > 0.01


def test_bytes_are_read_as_floats_and_samples_one_by_one(cnn, rng):
    """uint8 means x / 255. Fails if bytes are used as they are, and if BatchNorm is in train mode
    during the search (neighbours would mix in)."""
    net, y = cnn().train(), torch.tensor([0, 1])
    x = torch.randint(0, 256, (2, 1, 6, 6), generator=rng(0), dtype=torch.uint8)
    for p in NORMS:
        copies = pgd(net, x, y, 0.1, p)
        assert torch.equal(copies, pgd(net, x.float() / 255, y, 0.1, p))
        assert torch.allclose(copies[:1], pgd(net, x[:1], y[:1], 0.1, p), atol=1e-6)
        noisy = [uniform(z, 0.1, p, generator=rng(1)) for z in (x, x.float() / 255)]
        assert torch.equal(*noisy)


# --- against torchattacks -------------------------------------------------------------------------

torchattacks = pytest.importorskip(
    "torchattacks", reason="make test installs it: pip install --no-deps torchattacks"
)
TAU = 0.05


def theirs(attack, x, y, targeted):
    """Copies by torchattacks; it is given the labels as targets if it shall go towards them."""
    if targeted:
        attack.set_mode_targeted_by_label(quiet=True)
    return attack(x, y)


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize(("steps", "alpha"), [(1, 0.02), (10, 2 / 255)])
def test_fgsm_and_pgd_are_those_of_torchattacks(steps, alpha, targeted, cnn, images):
    """Same steps, same step size, no random start. Fails if the best iterate instead of the last
    is returned, or a step is projected onto the wrong set. In L2 the box is out of reach: theirs
    clips after projecting, ours projects onto both at once."""
    net, (x, y) = cnn(), images(8)
    attack = torchattacks.FGSM(net, eps=TAU)
    ours = fgsm(net, x, y, TAU, targeted=targeted)
    assert torch.allclose(ours, theirs(attack, x, y, targeted), atol=1e-6)
    options = {"steps": steps, "targeted": targeted}
    attack = torchattacks.PGD(net, eps=TAU, alpha=alpha, steps=steps, random_start=False)
    ours = pgd(net, x, y, TAU, step_size=alpha, **options)
    assert torch.allclose(ours, theirs(attack, x, y, targeted), atol=1e-6)
    x = 0.4 + 0.2 * x
    attack = torchattacks.PGDL2(net, eps=0.3, alpha=0.08, steps=steps, random_start=False)
    ours = pgd(net, x, y, 0.3, 2, step_size=0.08, **options)
    assert torch.allclose(ours, theirs(attack, x, y, targeted), atol=1e-5)
