"""RURK's loss, its variants, and RURK after another method, by hand."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F

from rurklib import METHODS, rurk_loss, unlearn
from rurklib.perturb import PERTURBATIONS, Perturbation, gaussian
from rurklib.unlearn.contract import SEARCH, defaults
from rurklib.unlearn.rurk import FIRST, then_rurk


def test_copies_are_drawn_afresh_at_every_step(task, monkeypatch):
    """A law of our own writes down what its generator gives. Fails if the generator is made anew
    for every step: the same noise each time would be learned, not a neighbourhood."""
    seen = []

    def draw(model, x, y, tau, generators, bounds):
        seen.append(torch.rand(1, generator=generators[0]).item())
        return x

    monkeypatch.setitem(PERTURBATIONS, "spy", Perturbation(draw, gradient_based=False, random=True))
    unlearn("RURK", *task, perturbation="spy", v=2, epochs=3, batch_size=5)
    assert len(seen) == len(set(seen)) == 2 * 3 * 2  # v copies, epochs, batches


def test_rurk_forgets_near_the_sample_while_it_keeps_the_rest(task):
    """What it is for: the loss on perturbed forget samples rises above that of fine-tuning."""
    model, retain, (xf, yf) = task
    options = {"epochs": 20, "lr": 0.05, "batch_size": 10}
    rurk = METHODS["RURK"](model, retain, (xf, yf), tau=0.1, lambda_a=0.3, **options)
    gd = METHODS["GD"](model, retain, (xf, yf), batchnorm="frozen", **options)
    near = gaussian(xf.repeat(20, 1, 1, 1), 0.1, generator=torch.Generator().manual_seed(0))
    losses = [F.cross_entropy(m(near), yf.repeat(20)).item() for m in (rurk, gd)]
    assert losses[0] > losses[1] + 0.1
    kept = [F.cross_entropy(m(retain[0]), retain[1]).item() for m in (rurk, model)]
    assert kept[0] < kept[1]


W, B = [[0.7, -0.4, 0.2], [-0.3, 0.5, 0.6]], [0.1, -0.2]


def cross_entropy(x: list[float], y: int) -> float:
    """-log softmax of z = W x + B at y, in plain Python."""
    z = [sum(w * v for w, v in zip(row, x, strict=True)) + b for row, b in zip(W, B, strict=True)]
    return math.log(sum(math.exp(v) for v in z)) - z[y]


def mean(values) -> float:
    values = list(values)
    return sum(values) / len(values)


def away_from(x: list[float], y: int, tau: float) -> list[float]:
    """On a linear net the loss of y is largest at x - tau * sign(w_y - w_other) (L-inf)."""
    other = 1 - y
    return [v - math.copysign(tau, W[y][i] - W[other][i]) for i, v in enumerate(x)]


@pytest.fixture
def batch(rng):
    """(retain, forget): 4 and 3 samples well inside [0, 1]."""
    x = 0.3 + 0.4 * torch.rand(7, 3, generator=rng(5), dtype=torch.float64)
    y = torch.tensor([0, 1, 1, 0, 0, 1, 0])
    return (x[:4], y[:4]), (x[4:], y[4:])


def plain(pair) -> list[tuple[list[float], int]]:
    return list(zip(pair[0].tolist(), pair[1].tolist(), strict=True))


@pytest.mark.parametrize("law", ["fgsm", "pgd"])
def test_line_17_by_hand_where_copies_are_found_by_gradient(law, linear, batch, rng):
    """RLoss - lambda_f * FLoss - lambda_a * AdvFLoss; both laws reach the ball's corner where the
    true label is likeliest: away from the only other label. Fails if they are untargeted."""
    retain, forget = batch
    options = {"tau": 0.05, "lambda_f": 0.4, "lambda_a": 0.3, "perturbation": law}
    out = rurk_loss(linear(W, B), retain, forget, generator=rng(0), **options)
    r = mean(cross_entropy(x, y) for x, y in plain(retain))
    f = mean(cross_entropy(x, y) for x, y in plain(forget))
    a = mean(cross_entropy(away_from(x, 1 - y, 0.05), y) for x, y in plain(forget))
    assert out.total.item() == pytest.approx(r - 0.4 * f - 0.3 * a, rel=1e-9)
    assert a < f


@pytest.mark.parametrize("law", ["gaussian", "fgsm", "pgd"])
def test_a_wrong_label_by_hand(law, linear, batch, rng):
    """B.4 with two classes, so y' = 1 - y: x' *maximises* l(w, (z, y')), the term is l(w, (x', y'))
    and enters with +, the clean term with -. Gaussian copies are noise. Fails if the search goes
    towards y', the loss is that of y, or the sign isn't flipped."""
    retain, forget = batch
    options = {"tau": 0.05, "lambda_f": 0.4, "lambda_a": 0.3, "v": 2, "target": "random"}
    out = rurk_loss(linear(W, B), retain, forget, perturbation=law, generator=rng(0), **options)
    gen = rng(0)
    terms = []
    for _ in range(2):
        torch.randint(1, 2, (3,), generator=gen)  # the wrong labels are drawn first
        if law == "gaussian":
            near = gaussian(forget[0], 0.05, generator=gen).tolist()
        else:
            near = [away_from(x, 1 - y, 0.05) for x, y in plain(forget)]
        terms += [cross_entropy(x, 1 - y) for x, (_, y) in zip(near, plain(forget), strict=True)]
    r = mean(cross_entropy(x, y) for x, y in plain(retain))
    f = mean(cross_entropy(x, y) for x, y in plain(forget))
    assert out.perturbed.item() == pytest.approx(mean(terms), rel=1e-9)
    assert out.total.item() == pytest.approx(r - 0.4 * f + 0.3 * mean(terms), rel=1e-9)


def given(monkeypatch, copies: list[list[float]], seen: list | None = None) -> None:
    """A law "given" that hands out prepared copies of one-dimensional samples, round by round."""
    rounds = iter(copies)

    def draw(model, x, y, tau, generators, bounds):
        if seen is not None:
            seen.append(y.tolist())
        return torch.tensor(next(rounds), dtype=x.dtype)[:, None]

    monkeypatch.setitem(
        PERTURBATIONS, "given", Perturbation(draw, gradient_based=False, random=True)
    )


@pytest.mark.parametrize("target", ["true", "random"])
def test_the_label_condition_by_hand(target, linear, rng, monkeypatch):
    """z = (0, x - 1/2): class 1 where x > 1/2. Of three copies of three samples of class 1, the
    model recognises three, one and none. Fails if copies that aren't recognised count, if v or the
    number of all members is the divisor, or if a sample without members is left out of the mean."""
    net = linear([[0.0], [1.0]], bias=[0.0, -0.5])
    x = torch.full((3, 1), 0.6, dtype=torch.float64)
    batch = (x, torch.ones(3, dtype=torch.int64))
    given(monkeypatch, [[0.6, 0.7, 0.1], [0.8, 0.2, 0.3], [0.9, 0.4, 0.45]])
    options = {"v": 3, "perturbation": "given", "target": target, "lambda_f": 0.0, "lambda_a": 1.0}
    out = rurk_loss(net, batch, batch, recognised_only=True, generator=rng(0), **options)
    sign = -1 if target == "true" else 1  # of x - 1/2 in the loss of class 1, of class 0

    def loss(x: float) -> float:
        return math.log1p(math.exp(sign * (x - 0.5)))

    kappa = [mean(map(loss, [0.6, 0.8, 0.9])), loss(0.7), 0.0]
    assert out.perturbed.item() == pytest.approx(mean(kappa), rel=1e-12)
    assert out.total.item() == pytest.approx(out.retain.item() + sign * mean(kappa), rel=1e-12)


def test_recognised_means_in_eval_mode(cnn, images, rng):
    """m is the model as it will be used. Fails if a batch's own statistics decide who is recognised
    while the model is in train mode."""
    model, (x, y) = cnn().train(), images(24)
    used = copy.deepcopy(model).eval()(x).argmax(1) == y
    logits = copy.deepcopy(model)(x)
    assert not torch.equal(used, logits.argmax(1) == y), "the modes agree: the test shows nothing"
    out = rurk_loss(model, (x, y), (x, y), tau=0.0, recognised_only=True, generator=rng(0))
    each = F.cross_entropy(logits, y, reduction="none")
    assert out.perturbed.item() == pytest.approx((each * used).mean().item(), rel=1e-5)
    assert all(m.training for m in model.modules())


def test_every_copy_draws_its_own_wrong_label(linear, rng, monkeypatch):
    """Fails if one y' is drawn for all v copies, or the loss is for another than the search."""
    seen: list[list[int]] = []
    net, y = linear([[0.1], [0.5], [-0.7], [0.3]]), torch.tensor([0, 1, 2, 3] * 5)
    x = torch.full((20, 1), 0.5, dtype=torch.float64)
    given(monkeypatch, [[0.5] * 20] * 2, seen)
    options = {"perturbation": "given", "target": "random", "v": 2, "generator": rng(0)}
    out = rurk_loss(net, (x, y), (x, y), **options)
    assert seen[0] != seen[1]
    losses = [F.cross_entropy(net(x), torch.tensor(labels)).item() for labels in seen]
    assert out.perturbed.item() == pytest.approx(mean(losses), rel=1e-9)


RURK = {"tau": 0.1, "lambda_f": 0.2, "lambda_a": 0.3, "lr": 0.2, "batch_size": 4}


@pytest.mark.parametrize("name", [*FIRST, "BadTeacher"])
@pytest.mark.parametrize("tell", [True, False])
def test_it_is_the_two_in_a_row(name, tell, task, same):
    """To the bit. Fails if RURK starts from Original, a value of one goes to the other, or the
    defaults of ``first`` aren't the first method's."""
    model, retain, forget = task
    own = {"alpha": 0.5} if name == "SSD" else {"lr": 0.05, "epochs": 3}
    own = own if tell else {}
    start = unlearn(name, model, retain, forget, seed=3, **own)
    expected = unlearn("RURK", start, retain, forget, seed=3, **RURK)
    first = {"first": own} if tell else {}
    got = then_rurk(model, name, retain, forget, seed=3, **first, **RURK)
    assert same(got, expected)
    if name in FIRST:  # and has a row in the tables
        row = unlearn(f"{name}+RURK", model, retain, forget, seed=3, **first, **RURK)
        assert same(row, expected)
    assert not same(got, unlearn("RURK", model, retain, forget, seed=3, **RURK))
    assert not same(got, start)


def test_bounds_reach_both(task):
    """Inputs outside [0, 1]. Fails if one of the two still refuses them."""
    model, (xr, yr), (xf, yf) = task
    wide = {"bounds": (0.0, 3.0)}
    unlearn("GD+RURK", model, (3 * xr, yr), (3 * xf, yf), **wide)


def test_its_parameters_are_rurks_and_one_more():
    for name in FIRST:
        assert defaults(f"{name}+RURK") == {**defaults("RURK"), "first": None}
        assert SEARCH[f"{name}+RURK"] == SEARCH["RURK"]


@pytest.mark.parametrize("more", [{"recognised_only": True}, {"target": "random"}])
def test_a_variant_reaches_the_loss(more, task, same):
    options = {"perturbation": "fgsm", "lr": 0.1, "lambda_a": 1.0, "tau": 0.1}
    a, b = (unlearn("RURK", *task, **options, **v) for v in ({}, more))
    assert not same(a, b)
