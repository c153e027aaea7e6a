"""Perturbations: laws in closed form, projections against solvers, optima on linear models."""

import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from torch import nn

from rurklib.edits import check_texts
from rurklib.perturb import (
    PERTURBATIONS,
    InPieces,
    fgsm,
    gaussian,
    in_ball,
    matched_radius,
    norm,
    pgd,
    project,
    start,
    uniform,
)

P = {"uniform-linf": math.inf, "uniform-l2": 2, "uniform-l1": 1}
ON_IMAGES = [n for n, law in PERTURBATIONS.items() if law.check is not check_texts]


def drawn(name, n, d, tau, rng, bounds=None, at=0.5):
    """x, and displacements [n, d] of copies of it under a law that looks at no model."""
    x = torch.full((n, d), at, dtype=torch.float64)
    return x, PERTURBATIONS[name].sample(None, x, None, tau, [rng(0)], bounds) - x


def marginal(name, d):
    """Distribution function of a coordinate's displacement at tau = 1."""
    if name == "uniform-linf":
        return stats.uniform(-1, 2).cdf
    if name == "uniform-l1":
        return lambda u: 0.5 + np.sign(u) * stats.beta(1, d).cdf(np.abs(u)) / 2
    return lambda u: stats.beta((d + 1) / 2, (d + 1) / 2).cdf((u + 1) / 2)


@pytest.mark.parametrize("name", P)
@pytest.mark.parametrize("d", [2, 5, 12])
def test_radial_law_and_marginals(name, d, rng):
    """Fails if a name has another norm, if the radius is uniform, or if tau doesn't scale it."""
    tau, n = 0.3, 3000
    _, moved = drawn(name, n, d, tau, rng)
    radius = norm(moved, P[name]) / tau
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


@pytest.mark.parametrize("name", ON_IMAGES)
def test_draws_made_together_are_what_each_is_alone(name, cnn, images, rng):
    """Three draws in one call, draw by draw, and gradients taken in pieces: the same copies. Fails
    if draws share a stream, or stand sample by sample."""
    law, net, (x, y), bounds = PERTURBATIONS[name], cnn(), images(4), (0.0, 1.0)
    alone = [law.sample(net, x, y, 0.2, [rng(i)], bounds) for i in range(3)]
    for model in (net, InPieces(net, 5)):
        together = law.sample(model, x, y, 0.2, [rng(i) for i in range(3)], bounds)
        assert torch.allclose(together, torch.cat(alone), atol=1e-6)
    assert (alone[0] != alone[1]).any() or not law.random or name.startswith("pgd-l1")


@pytest.mark.parametrize("p", [1, 2, math.inf])
def test_a_search_starts_inside_ball_and_box(p, rng):
    """Black and white pixels leave no room on one side. Fails if the start isn't projected."""
    x = torch.rand(50, 6, generator=rng(3)).round()
    d = start(x, 0.5, rng(0), (0.0, 1.0), p)
    assert (norm(d, p) <= 0.5 + 1e-6).all()
    assert (x + d).min() >= 0
    assert (x + d).max() <= 1
    assert d.abs().max() > 0.1


@pytest.mark.parametrize("name", ON_IMAGES)
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
        out = PERTURBATIONS[name].sample(net, x, y, 0.2, [rng(0)], (0.0, 1.0))
        assert not out.requires_grad
        assert torch.equal(PERTURBATIONS[name].sample(net, x, y, 0.0, [rng(0)], (0.0, 1.0)), x)
        assert torch.equal(out, PERTURBATIONS[name].sample(net, x, y, 0.2, [rng(0)], (0.0, 1.0)))


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
    noise = in_ball(x, radius, torch.Generator().manual_seed(d), p)
    assert noise.square().mean().sqrt().item() == pytest.approx(0.3, rel=0.02)


NORMS_CLOSED_FORMS = (math.inf, 2, 1)
SHAPES = ((1, (5,)), (8, (2, 2, 2)))  # (batch size, shape of a sample)
BOXES = {"active": ((0.0, 1.0), 0.5), "inactive": ((0.0, 1.0), 0.05), "none": (None, 0.5)}


def problem(n, shape, box, targeted, linear):
    """A linear net, samples, and c [n, d]: what the search should climb is c . (x' - x)."""
    bounds, tau = BOXES[box]
    gen = torch.Generator().manual_seed(n)
    x = torch.rand(n, *shape, generator=gen, dtype=torch.float64)
    if box == "inactive":
        x = 0.3 + 0.4 * x
    y = torch.arange(n) % 2
    net = linear(math.prod(shape))
    w = (net[1].weight[1] - net[1].weight[0]).detach().numpy()
    c = np.stack([w if (label == 1) == targeted else -w for label in y.tolist()])
    return net, x, y, c, tau, bounds


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
    if np.linalg.norm(room) <= tau:
        return (np.abs(c) * room).sum()

    def filled(level):  # water-filling: proportional to |c| until the room is used up
        return np.minimum(room, level * np.abs(c))

    top = 1.0
    while np.linalg.norm(filled(top)) < tau:
        top *= 2
    level = optimize.brentq(lambda s: np.linalg.norm(filled(s)) - tau, 0, top)
    return (np.abs(c) * filled(level)).sum()


def check_gain(x_new, x, c, tau, p, bounds, share=0.99):
    """Inside ball and box, and at least ``share`` of the best gain; never more than the best."""
    d = (x_new - x).flatten(1).numpy()
    assert np.all(np.linalg.norm(d, p, axis=1) <= tau * (1 + 1e-9))
    if bounds:
        assert bounds[0] <= x_new.min()
        assert x_new.max() <= bounds[1]
    for i in range(len(x)):
        best = best_gain(c[i], x[i].flatten().numpy(), tau, p, bounds)
        assert share * best <= c[i] @ d[i] <= best * (1 + 1e-9)


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize(("n", "shape"), SHAPES)
def test_fgsm_is_the_optimum_on_a_linear_net(n, shape, box, targeted, linear):
    """x' = clip(x +- tau * sign(w)). Fails if the sign of ``targeted`` is flipped, if the box is
    forgotten, or if the step is not of size tau."""
    net, x, y, c, tau, bounds = problem(n, shape, box, targeted, linear)
    out = fgsm(net, x, y, tau, targeted=targeted, bounds=bounds)
    check_gain(out, x, c, tau, math.inf, bounds, share=1 - 1e-9)
    step = torch.from_numpy(np.sign(c)).view_as(x) * tau
    by_hand = x + step if bounds is None else (x + step).clamp(*bounds)
    assert torch.allclose(out, by_hand, atol=1e-12)


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize(("n", "shape"), SHAPES)
@pytest.mark.parametrize("p", NORMS_CLOSED_FORMS)
def test_pgd_reaches_the_optimum_on_a_linear_net(p, n, shape, box, targeted, linear, rng):
    """At least 99 % of what the best point of ball and box gains, from a random start. Fails if
    the box is clipped after projecting (L2, L1 stop short), or ``targeted`` is flipped."""
    net, x, y, c, tau, bounds = problem(n, shape, box, targeted, linear)
    options = {"steps": 20, "step_size": 2 * tau, "generator": rng(0), "bounds": bounds}
    out = pgd(net, x, y, tau, p, targeted=targeted, **options)
    check_gain(out, x, c, tau, p, bounds)


@pytest.mark.parametrize("kind", ["", "-untargeted"])
@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize(("n", "shape"), SHAPES)
@pytest.mark.parametrize(("name", "p"), [("pgd", math.inf), ("pgd-l2", 2), ("pgd-l1", 1)])
def test_pgd_laws_find_the_optimum_of_their_ball(name, p, n, shape, box, kind, linear, rng):
    """With the law's own ten steps. Fails if a name has another norm or direction. In L2
    ten default steps end short of the optimum where the box bites: each goes tau / 4 along the
    gradient, and what the box cuts off is spread over the others only little by little."""
    net, x, y, c, tau, bounds = problem(n, shape, box, not kind, linear)
    out = PERTURBATIONS[name + kind].sample(net, x, y, tau, [rng(1)], bounds)
    share = {math.inf: 0.999, 1: 0.98, 2: 0.7 if box == "active" else 0.95}[p]
    check_gain(out, x, c, tau, p, bounds, share)


@pytest.mark.parametrize("p", NORMS_CLOSED_FORMS)
def test_pgd_converges_with_its_default_step_size_too(p, linear):
    """pgd's docstring: "on a linear model it converges to the optimum in every norm". Fails if
    all default steps together are too short to get there (L1: what counts is the largest
    coordinate, but a step of L2 length s moves it by s * |w_i| / ||w|| only)."""
    net, x, y, c, tau, bounds = problem(3, (1, 3, 3), "none", True, linear)
    out = pgd(net, x, y, tau, p, steps=40, targeted=True, random_start=False, bounds=bounds)
    check_gain(out, x, c, tau, p, bounds)


def test_laws_move_the_way_that_their_name_says(cnn, images, rng):
    """Neighbours that are still recognised, or no longer where the law is untargeted. Fails if a
    gradient law of PERTURBATIONS has the wrong sign."""
    net, (x, y) = cnn(), images(6)
    loss = nn.CrossEntropyLoss(reduction="none")
    for name, law in PERTURBATIONS.items():
        if law.gradient_based:
            out = law.sample(net, x, y, 0.1, [rng(0)], (0.0, 1.0))
            moved = (loss(net(out), y) - loss(net(x), y)).detach()
            assert (moved > 0 if name.endswith("untargeted") else moved < 0).all(), name


@pytest.mark.parametrize("name", ON_IMAGES)
def test_laws_say_truly_whether_they_are_random(name, cnn, images, rng):
    """One draw stands for all where ``random`` is False. Fails if the flag is wrong."""
    law, net, (x, y) = PERTURBATIONS[name], cnn(), images(12)  # in L1 many starts end in one corner
    first, second = (law.sample(net, x, y, 0.1, [rng(seed)], (0.0, 1.0)) for seed in (0, 1))
    assert torch.equal(first, second) != law.random
    other = law.sample(cnn(5), x, y, 0.1, [rng(0)], (0.0, 1.0))
    assert torch.equal(first, other) != law.gradient_based


def attacks(net, x, y, rng):
    yield "fgsm", fgsm(net, x, y, 0.1)
    for p in NORMS_CLOSED_FORMS:
        yield f"pgd {p}", pgd(net, x, y, 0.1, p, random_start=False)


def test_a_sample_alone_is_perturbed_as_in_its_batch(cnn, images, rng):
    """Fails if BatchNorm is in train mode during the search (neighbours would mix in)."""
    net, (x, y) = cnn(), images(5)
    net.train()
    together = dict(attacks(net, x, y, rng))
    for i in range(len(x)):
        for name, alone in attacks(net, x[i : i + 1], y[i : i + 1], rng):
            assert torch.allclose(alone[0], together[name][i], atol=1e-6), name


def test_the_size_of_the_batch_does_not_make_a_gradient_vanish(linear):
    """A margin of 103 leaves a gradient of about 1e-45, the smallest float32. The loss is summed
    over the batch: fails if it is averaged, for then 64 samples round it to zero and FGSM does
    nothing."""
    w = torch.tensor([1.0, -1.0, 1.0, -1.0])
    net = linear(torch.stack([-w, w]) * 25.6, bias=[0.0, 0.0], dtype=torch.float32)
    x = torch.tensor([[1.0, 0.0, 1.0, 0.0]]).repeat(64, 1)
    y = torch.ones(64, dtype=torch.int64)
    together, alone = fgsm(net, x, y, 0.1), fgsm(net, x[:1], y[:1], 0.1)
    assert (alone != x[:1]).all()
    assert torch.equal(together[:1], alone)


@pytest.mark.parametrize("margin", [5, 20, 50])
def test_fgsm_goes_the_right_way_on_a_confident_net(margin, linear):
    """The margin's gradient is w_y - w_other however large the margin. Fails if the loss loses
    the label's own logit: p_y - 1 rounds to 0 in float32 beyond a margin of 17, and what is left
    points along w_other alone."""
    w = torch.tensor([[1.0, 2.0, -3.0], [3.0, 3.0, 1.0]])  # w_1 - w_0 = (2, 1, 4)
    x = torch.full((1, 3), 0.5)
    net = linear(w, bias=[0.0, margin - 3.5], dtype=torch.float32)
    step = (fgsm(net, x, torch.tensor([1]), 0.1) - x).sign()
    assert step.tolist() == [[-1.0, -1.0, -1.0]]


@pytest.mark.parametrize("p", NORMS_CLOSED_FORMS)
@pytest.mark.parametrize("margin", [5, 50, 80])
def test_pgd_moves_as_long_as_there_is_a_gradient(margin, p, linear):
    """exp(-80) is a float32, but its square is not. Fails if the gradient's L2 norm is taken
    without scaling: it underflows to 0 at a margin of 52 and the search silently stays put."""
    w = torch.tensor([1.0, -1.0, 1.0, -1.0])
    net = linear(torch.stack([-w, w]), bias=[0.0, float(margin)], dtype=torch.float32)
    x, y = torch.full((1, 4), 0.5), torch.tensor([1])
    out = pgd(net, x, y, 0.1, p, random_start=False)
    assert (out - x).abs().max() > 0.01


def test_a_zero_gradient_leaves_the_sample_where_it_is(linear):
    """Fails if 0 / 0 lets NaN in."""
    net = linear(torch.zeros(2, 4), dtype=torch.float32)
    x, y = torch.rand(2, 4), torch.tensor([0, 1])
    assert torch.equal(fgsm(net, x, y, 0.1), x)
    for p in NORMS_CLOSED_FORMS:
        assert torch.equal(pgd(net, x, y, 0.1, p, random_start=False), x)


def everything(net, x, y, tau, rng, **options):
    yield "gaussian", gaussian(x, tau, generator=rng(0), **options)
    for p in NORMS_CLOSED_FORMS:
        yield f"uniform {p}", uniform(x, tau, p, generator=rng(0), **options)
    yield "fgsm", fgsm(net, x, y, tau, **options)
    for p in NORMS_CLOSED_FORMS:
        for random_start in (False, True):
            gen = rng(0) if random_start else None
            kind = {"random_start": random_start, "generator": gen, **options}
            yield f"pgd {p} {random_start}", pgd(net, x, y, tau, p, **kind)


def test_tau_zero_is_a_copy(cnn, images, rng):
    net, (x, y) = cnn(), images(4)
    for name, out in everything(net, x, y, 0.0, rng):
        assert torch.equal(out, x), name
        assert out.data_ptr() != x.data_ptr(), name
    for p in NORMS_CLOSED_FORMS:
        black = torch.zeros_like(x)
        assert torch.equal(pgd(net, black, y, 0.0, p, step_size=0.1, generator=rng(0)), black), (
            f"pgd {p} with a step size"
        )


def test_ball_and_box_hold_in_float32(cnn, images, rng):
    """From a random start on the edge of the box. Fails if a step isn't projected onto the ball."""
    net, (x, y) = cnn(), images(6)
    x = x.round()  # black and white: every pixel is on the edge of the box
    for steps in (1, 3):
        for p in NORMS_CLOSED_FORMS:
            out = pgd(net, x, y, 0.3, p, steps=steps, generator=rng(0))
            assert out.min() >= 0
            assert out.max() <= 1
            length = torch.linalg.vector_norm((out - x).flatten(1), ord=p, dim=1)
            assert (length <= 0.3 + 1e-5).all()


def test_bytes_are_read_as_floats(cnn, rng):
    """uint8 means x / 255. Fails if bytes are used as they are."""
    net, y = cnn(), torch.tensor([0, 1])
    x = torch.randint(0, 256, (2, 1, 6, 6), generator=rng(0), dtype=torch.uint8)
    for (name, a), (_, b) in zip(
        everything(net, x, y, 0.1, rng), everything(net, x.float() / 255, y, 0.1, rng), strict=True
    ):
        assert torch.equal(a, b), name


def test_gaussian_has_its_mean_and_standard_deviation(rng):
    """tau is the standard deviation of a pixel. Fails if tau is taken as variance or as the norm
    of the whole displacement."""
    x = torch.full((50, 20, 20), 0.5)
    z = (gaussian(x, 0.03, generator=rng(0), bounds=None) - x) / 0.03
    assert abs(z.mean().item()) < 4 / math.sqrt(z.numel())
    assert abs(z.std().item() - 1) < 4 / math.sqrt(2 * z.numel())
    assert stats.kstest(z.flatten().numpy(), "norm").pvalue > 0.01


def test_gaussian_is_clipped_only_where_there_are_bounds(rng):
    """Half of what is added to a black pixel falls below 0 and is clipped to it."""
    x = torch.zeros(1, 10_000)
    free = gaussian(x, 0.1, generator=rng(0), bounds=None)
    clipped = gaussian(x, 0.1, generator=rng(0), bounds=(0.0, 0.2))
    assert free.min() < -0.1
    assert torch.equal(clipped, free.clamp(0, 0.2))
    assert abs((clipped == 0).float().mean().item() - 0.5) < 0.02


@pytest.mark.parametrize("times", [1.0, 30.0, 300.0])
@pytest.mark.parametrize("p", [1.0, 2.0, math.inf])
def test_a_net_that_is_sure_is_searched_as_well(times, p, linear, rng):
    """Logits times a constant: the same copies. Fails if the search follows a loss whose gradient
    is 0 in float32 where p_y is 1."""
    x, y = torch.rand(8, 20, generator=rng(0)), torch.ones(8, dtype=torch.int64)
    weight = torch.randn(3, 20, generator=rng(1))
    bias = torch.tensor([0.0, 20.0, 0.0])
    plain, sure = (
        linear((k * weight).tolist(), (k * bias).tolist(), dtype=torch.float32)
        for k in (1.0, times)
    )
    found, same = (pgd(net, x, y, 0.3, p, random_start=False) for net in (plain, sure))
    assert (found - x).abs().max() > 0.01
    nearer = [(plain(z)[:, 1] - plain(x)[:, 1]).mean().item() for z in (found, same)]
    assert nearer[1] == pytest.approx(nearer[0], rel=0.2)


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
@pytest.mark.parametrize("seed", [0, 1])
def test_fgsm(seed, targeted, cnn, images):
    """Fails if FGSM's step has the wrong sign or size, or ``targeted`` is flipped."""
    net, (x, y) = cnn(seed), images(8, seed)
    expected = theirs(torchattacks.FGSM(net, eps=TAU), x, y, targeted)
    assert torch.allclose(fgsm(net, x, y, TAU, targeted=targeted), expected, atol=1e-6)


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize(("steps", "alpha"), [(1, 0.02), (10, 2 / 255)])
def test_pgd(steps, alpha, targeted, cnn, images):
    """Same steps, same step size, no random start. Fails if the best iterate instead of the last
    is returned, or a step is projected onto the wrong set."""
    net, (x, y) = cnn(), images(8)
    attack = torchattacks.PGD(net, eps=TAU, alpha=alpha, steps=steps, random_start=False)
    ours = pgd(net, x, y, TAU, steps=steps, step_size=alpha, targeted=targeted, random_start=False)
    assert torch.allclose(ours, theirs(attack, x, y, targeted), atol=1e-6)


def test_gaussian_noise(cnn, images):
    """The same stream of normal numbers gives the same copies: tau is torchattacks' std."""
    net, (x, y) = cnn(), images(8)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        expected = torchattacks.GN(net, std=0.3)(x, y)
    ours = gaussian(x, 0.3, generator=torch.Generator().manual_seed(5))
    assert torch.allclose(ours, expected, atol=1e-6)


@pytest.mark.parametrize("targeted", [False, True])
def test_pgd_l2(targeted, cnn, images):
    """PGD in L2, where the box is out of reach (theirs clips after projecting, ours projects onto
    both at once). Fails if steps are not of L2 length ``step_size``."""
    net, (x, y) = cnn(), images(8)
    x = 0.4 + 0.2 * x
    attack = torchattacks.PGDL2(net, eps=0.3, alpha=0.08, steps=10, random_start=False)
    ours = pgd(net, x, y, 0.3, 2, step_size=0.08, targeted=targeted, random_start=False)
    assert torch.allclose(ours, theirs(attack, x, y, targeted), atol=1e-5)
