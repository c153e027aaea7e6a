"""FGSM, PGD and Gaussian noise where the right answer is known in closed form.

On a linear net with two classes the cross-entropy of y falls exactly when the margin of y grows,
and the margin is linear in x: the best perturbation is a linear programme over ball and box.
"""

import math

import numpy as np
import pytest
import torch
from scipy import optimize, stats
from torch import nn

from rurklib import InputError
from rurklib.perturb import fgsm, gaussian, pgd, sphere, uniform
from rurklib.perturb.perturbations import PERTURBATIONS

NORMS = (math.inf, 2, 1)
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
@pytest.mark.parametrize("p", NORMS)
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
    out = PERTURBATIONS[name + kind].sample(net, x, y, tau, rng(1), bounds)
    share = {math.inf: 0.999, 1: 0.98, 2: 0.7 if box == "active" else 0.95}[p]
    check_gain(out, x, c, tau, p, bounds, share)


@pytest.mark.parametrize("p", NORMS)
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
            out = law.sample(net, x, y, 0.1, rng(0), (0.0, 1.0))
            moved = (loss(net(out), y) - loss(net(x), y)).detach()
            assert (moved > 0 if name.endswith("untargeted") else moved < 0).all(), name


@pytest.mark.parametrize("name", [n for n, law in PERTURBATIONS.items() if not law.tokens])
def test_laws_say_truly_whether_they_are_random(name, cnn, images, rng):
    """One draw stands for all where ``random`` is False. Fails if the flag is wrong."""
    law, net, (x, y) = PERTURBATIONS[name], cnn(), images(12)  # in L1 many starts end in one corner
    first, second = (law.sample(net, x, y, 0.1, rng(seed), (0.0, 1.0)) for seed in (0, 1))
    assert torch.equal(first, second) != law.random
    other = law.sample(cnn(5), x, y, 0.1, rng(0), (0.0, 1.0))
    assert torch.equal(first, other) != law.gradient_based


# --- a sample's perturbation is its own affair --------------------------------------------------


def attacks(net, x, y, rng):
    yield "fgsm", fgsm(net, x, y, 0.1)
    for p in NORMS:
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


@pytest.mark.parametrize("p", NORMS)
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
    for p in NORMS:
        assert torch.equal(pgd(net, x, y, 0.1, p, random_start=False), x)


# --- what every perturbation promises -----------------------------------------------------------


def everything(net, x, y, tau, rng, **options):
    yield "gaussian", gaussian(x, tau, generator=rng(0), **options)
    yield "sphere", sphere(x, tau, generator=rng(0), **options)
    for p in NORMS:
        yield f"uniform {p}", uniform(x, tau, p, generator=rng(0), **options)
    yield "fgsm", fgsm(net, x, y, tau, **options)
    for p in NORMS:
        for random_start in (False, True):
            gen = rng(0) if random_start else None
            kind = {"random_start": random_start, "generator": gen, **options}
            yield f"pgd {p} {random_start}", pgd(net, x, y, tau, p, **kind)


def test_tau_zero_is_a_copy(cnn, images, rng):
    net, (x, y) = cnn(), images(4)
    for name, out in everything(net, x, y, 0.0, rng):
        assert torch.equal(out, x), name
        assert out.data_ptr() != x.data_ptr(), name
    for p in NORMS:
        black = torch.zeros_like(x)
        assert torch.equal(pgd(net, black, y, 0.0, p, step_size=0.1, generator=rng(0)), black), (
            f"pgd {p} with a step size"
        )


def test_ball_and_box_hold_in_float32(cnn, images, rng):
    """From a random start on the edge of the box. Fails if a step isn't projected onto the ball."""
    net, (x, y) = cnn(), images(6)
    x = x.round()  # black and white: every pixel is on the edge of the box
    for steps in (1, 3):
        for p in NORMS:
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


def test_what_can_not_be_used_is_refused(cnn, images, rng):
    net, (x, y) = cnn(), images(2)
    with pytest.raises(InputError, match="random_start needs a generator"):
        pgd(net, x, y, 0.1)
    with pytest.raises(InputError, match=r"tau = -0.1"):
        fgsm(net, x, y, -0.1)
    with pytest.raises(InputError, match="p = 3"):
        pgd(net, x, y, 0.1, 3, generator=rng(0))
    with pytest.raises(InputError, match="steps = 0"):
        pgd(net, x, y, 0.1, steps=0, generator=rng(0))
    for law in (gaussian, sphere, lambda x, tau, **kw: uniform(x, tau, 2, **kw)):
        with pytest.raises(InputError, match=r"spans \[0, 255\]"):
            law(torch.tensor([[0.0, 255.0]]), 0.1, generator=rng(0))
        with pytest.raises(InputError, match="1 of 2 samples hold NaN"):
            law(torch.tensor([[0.0], [math.nan]]), 0.1, generator=rng(0))
        with pytest.raises(InputError, match="1 of 2 samples hold NaN or infinity"):
            law(torch.tensor([[0.0], [math.inf]]), 0.1, generator=rng(0), bounds=None)
        with pytest.raises(InputError, match=r"tau = -1"):
            law(x, -1, generator=rng(0))
    with pytest.raises(InputError, match="p = 3"):
        uniform(x, 0.1, 3, generator=rng(0))
    with pytest.raises(InputError, match="3 samples"):
        fgsm(net, images(3)[0], y, 0.1)
    with pytest.raises(InputError, match=r"expected a torch.nn.Module"):
        fgsm(net.forward, x, y, 0.1)


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
