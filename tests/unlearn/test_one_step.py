"""One step by hand for every method, on a linear softmax model in float64.

A row is a function of the weights W = [weight | bias] and of both sets, whose samples have a 1
appended: it gives the expected weights. Momentum and decay are 0 and a pass is one batch.
"""

import copy
import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from torch import Tensor, nn

from rurklib import METHODS, unlearn
from rurklib.tensors import generator
from rurklib.train import Recipe
from rurklib.unlearn import defaults
from rurklib.unlearn.fine_tuning import wrong_labels
from rurklib.unlearn.layers import reset
from rurklib.unlearn.neighbours import nearest_adversarial
from rurklib.unlearn.rurk import FIRST

Set = tuple[Tensor, Tensor]
LR, SEED = 0.3, 5
ROWS: dict[str, tuple[dict, Callable]] = {}


def row(name: str, **options):
    def put(expected: Callable) -> Callable:
        ROWS[name] = (options, expected)
        return expected

    return put


def model() -> nn.Linear:
    net = nn.Linear(3, 3).double()
    g = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=g, dtype=p.dtype))
    return net


def matrix(net: nn.Linear) -> Tensor:
    return torch.cat([net.weight, net.bias[:, None]], 1).detach()


def with_ones(pair: Set) -> Set:
    return F.pad(pair[0], (0, 1), value=1.0), pair[1]


def onehot(y: Tensor) -> Tensor:
    return F.one_hot(y, 3).double()


def score(w: Tensor, x: Tensor, target: Tensor) -> Tensor:
    """d cross-entropy / d logits for each sample: softmax - target."""
    return (x @ w.T).softmax(1) - target


def slope(w: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Gradient of the mean cross-entropy."""
    return score(w, x, onehot(y)).T @ x / len(x)


def new_weights() -> Tensor:
    net = model()
    reset([net], SEED)
    return matrix(net)


def union(*sets: Set) -> Set:
    x, y = (torch.cat(parts) for parts in zip(*sets, strict=True))
    return x, y


@row("GD", epochs=1)
@row("CF-k", epochs=1, k=1)
def gd(w, retain, forget):
    return w - LR * slope(w, *retain)


@row("GA", epochs=1)
def ga(w, retain, forget):
    return w + LR * slope(w, *forget)


@row("NegGrad+", epochs=1, beta=0.4)
def neggrad_plus(w, retain, forget):
    return w - LR * (slope(w, *retain) - 0.4 * slope(w, *forget))


@row("EU-k", epochs=1, k=1)
@row("Retrain-quarter", recipe=Recipe(epochs=4, lr=LR, momentum=0.0, weight_decay=0.0))
def eu_k(w, retain, forget):
    return gd(new_weights(), retain, forget)


@row("NGD", epochs=2, sigma=0.2)
def ngd(w, retain, forget):
    noise = generator(SEED, 3)
    for t in (0, 1):  # fails if noise is drawn once for both, or isn't scaled by the rate
        xi = [torch.randn(s, generator=noise, dtype=w.dtype) for s in ((3, 3), (3,))]
        eta = LR / 2 * (1 + math.cos(math.pi * t / 2))
        w = w - eta * (slope(w, *retain) + 0.2 * torch.cat([xi[0], xi[1][:, None]], 1))
    return w


@row("l1-sparse", epochs=2, gamma=0.07)
def l1_sparse(w, retain, forget):
    for t in (0, 1):  # gamma falls to half at the second of two steps, the rate by the cosine
        eta = LR / 2 * (1 + math.cos(math.pi * t / 2))
        w = w - eta * (slope(w, *retain) + 0.07 * (1 - t / 2) * w.sign())
    return w


@row("RandomLabels", epochs=1)
def random_labels(w, retain, forget):
    wrong = wrong_labels(forget[1], 3, generator(SEED, 3))
    return w - LR * slope(w, *union(retain, (forget[0], wrong)))


@row("SalUn", epochs=1, share=0.5)
def salun(w, retain, forget):
    size = slope(w, *forget).abs()
    salient = size >= size.flatten().sort(descending=True).values[5]  # six of the twelve
    return torch.where(salient, random_labels(w, retain, forget), w)


@row("AMUN", epochs=1, epsilon=0.2, steps=7)
def amun(w, retain, forget):
    x, y = forget
    near, label, _ = nearest_adversarial(model(), x[:, :3], y, epsilon=0.2, steps=7)
    return w - LR * slope(w, *union(retain, with_ones((near, label)), forget))


@row("BoundaryShrink", epochs=1, tau=0.1)
def boundary_shrink(w, retain, forget):
    x, y = forget
    near = x + 0.1 * F.pad((score(w, x, onehot(y)) @ w[:, :3]).sign(), (0, 1))
    z = (near @ w.T).scatter(1, y[:, None], -torch.inf)  # never its own label
    return w - LR * slope(w, x, z.argmax(1))


@row("JiT", epochs=1, tau=0.02, v=5)
def jit(w, retain, forget):
    """k = ||W e|| / ||e||; m(x') is a constant, so its gradient is that of m(x) alone."""
    order, noise = torch.randperm(4, generator=generator(SEED, 1)), generator(SEED, 3)
    x, step = forget[0][order], torch.zeros_like(w)
    for _ in range(5):
        e = 0.02 * torch.randn((4, 3), generator=noise, dtype=w.dtype)
        u = F.normalize(e @ w[:, :3].T, dim=1) / e.norm(dim=1, keepdim=True)
        step -= u.T @ x / 4 / 5
    return w - LR * step


@row("SCRUB", epochs=3, max_epochs=2, alpha=0.5, gamma=0.6, temperature=2.0)
def scrub(w, retain, forget):
    """max, min, max, min, min with one cosine schedule; the teacher stays Original."""
    teacher, sets = w, {"max": forget, "min": retain}
    for t, step in enumerate(("max", "min", "max", "min", "min")):
        x, y = sets[step]
        kl = 2 * score(w / 2, x, (x @ teacher.T / 2).softmax(1)).T @ x / len(x)
        grad = -kl if step == "max" else 0.5 * kl + 0.6 * slope(w, x, y)
        w = w - LR / 2 * (1 + math.cos(math.pi * t / 5)) * grad
    return w


@row("BadTeacher", epochs=1, retain_share=1.0, temperature=2.5)
def bad_teacher(w, retain, forget):
    """At Original retain samples pull at nothing; the mean is over both sets."""
    x = forget[0]
    blank = (x @ new_weights().T / 2.5).softmax(1)
    return w - LR * 2.5 * score(w / 2.5, x, blank).T @ x / 9


@row("DELETE", epochs=2, schedule="constant")
def delete(w, retain, forget):
    x, y = forget
    target = (x @ w.T).softmax(1).scatter(1, y[:, None], 0.0)
    target /= target.sum(1, keepdim=True)
    for _ in range(2):
        w = w - LR * score(w, x, target).T @ x / 4
    return w


def information(w: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return score(w, x, onehot(y)).square().T @ x.square() / len(x)


def dampened(w, f, r, alpha, dampening):
    beta = torch.where(f > alpha * r, (dampening * r / f).clamp(max=1), 1.0)
    assert 0 < int((beta < 1).sum()) < w.numel()
    return beta * w


@row("SSD", alpha=1.2, dampening=0.9)
def ssd(w, retain, forget):
    return dampened(w, information(w, *forget), information(w, *retain), 1.2, 0.9)


@row("LFSSD", alpha=0.8, dampening=0.7)
def lfssd(w, retain, forget):
    """d ||W x||^2 / dW = 2 z x^T, in absolute value and averaged."""
    f, r = (2 * (x @ w.T).abs().T @ x.abs() / len(x) for x, _ in (forget, retain))
    return dampened(w, f, r, 0.8, 0.7)


@row("Fisher", alpha=1e-3, ceiling=30.0)
def fisher(w, retain, forget):
    """E over labels of the squared score is p (1 - p), so B = mean of p (1 - p) x^2."""
    x, noise = retain[0], generator(SEED, 3)
    p = (x @ w.T).softmax(1)
    variance = 1e-3 * (1 / ((p * (1 - p)).T @ x.square() / len(x) + 1e-8)).clamp(max=30.0)
    assert 0 < int((variance == 0.03).sum()) < 12
    n = [torch.randn(s, generator=noise, dtype=w.dtype) for s in ((3, 3), (3,))]
    return w + variance.sqrt() * torch.cat([n[0], n[1][:, None]], 1)


@row("WoodFisher", alpha=0.7, damping=0.05)
def woodfisher(w, retain, forget):
    (x, y), eye = retain, torch.eye(12, dtype=w.dtype)
    g = (score(w, x, onehot(y))[:, :, None] * x[:, None]).flatten(1)
    away = 4 / 9 * (slope(w, *forget) - slope(w, *retain)).flatten()
    step = torch.linalg.solve(0.05 * eye + g.T @ g / len(x), away)
    return w + 0.7 * step.view_as(w)


@row("CR", lam=0.05)
def cr(w, retain, forget):
    """Newton's step on the retain set's loss from the optimum of all; a class at a time."""
    (x, y), out = union(retain, forget), []
    for k in range(3):
        s = 2.0 * (y == k) - 1

        def loss(v, x, s):
            v = torch.from_numpy(v).requires_grad_()
            value = F.softplus(-s * (x @ v)).sum() + 0.05 / 2 * len(x) * v @ v
            return value.item(), torch.autograd.grad(value, v)[0].numpy()

        v = minimize(loss, [0.0] * 4, (x, s), "BFGS", jac=True, options={"gtol": 1e-10}).x
        xr, grad = retain[0], torch.from_numpy(loss(v, retain[0], s[:5])[1])
        p = torch.sigmoid(xr @ torch.from_numpy(v))
        hessian = xr.T @ torch.diag(p * (1 - p)) @ xr + 0.05 * 5 * torch.eye(4)
        out.append(torch.from_numpy(v) - torch.linalg.solve(hessian, grad))
    return torch.stack(out)


@row("NTK", ridge=0.02, tolerance=1e-12, iterations=1000)
def ntk(w, retain, forget):
    """The difference of two ridge regressions, one of them without the forget set."""

    def ridge(x: Tensor, y: Tensor) -> Tensor:
        eye = torch.eye(4, dtype=w.dtype)
        return torch.linalg.solve(x.T @ x + 0.02 * 9 * eye, x.T @ onehot(y)).T

    return w + ridge(*retain) - ridge(*union(retain, forget))


@row("RURK", epochs=1, tau=0.02, lambda_f=0.4, lambda_a=0.3, v=2)
def rurk(w, retain, forget):
    order, noise = torch.randperm(4, generator=generator(SEED, 2)), generator(SEED, 3)
    x, y = (t[order] for t in forget)
    step = slope(w, *retain) - 0.4 * slope(w, x, y)
    for _ in range(2):
        e = 0.02 * torch.randn((4, 3), generator=noise, dtype=w.dtype)
        step -= 0.3 / 2 * slope(w, x + F.pad(e, (0, 1)), y)
    return w - LR * step


def test_every_method_has_a_row():
    assert ROWS.keys() | {f"{name}+RURK" for name in FIRST} == set(METHODS)


@pytest.mark.parametrize("name", ROWS)
def test_one_step_is_the_formula(name, rng):
    """Fails if a sign is flipped, a mean is a sum, or a set is the other one."""
    options, expected = ROWS[name]
    x = 0.2 + 0.6 * torch.rand(9, 3, generator=rng(0), dtype=torch.float64)
    x[5:, 1] = 0.2  # some weights matter more to the forget set, others to the retain set
    retain, forget = (x[:5], torch.arange(5) % 3), (x[5:], torch.arange(4) % 3)
    bare = {"lr": LR, "momentum": 0.0, "weight_decay": 0.0, "clip": None}
    options = {k: v for k, v in bare.items() if k in defaults(name)} | options
    net = model()
    got = unlearn(name, copy.deepcopy(net), retain, forget, seed=SEED, **options)
    wanted = expected(matrix(net), with_ones(retain), with_ones(forget))
    torch.testing.assert_close(matrix(got), wanted, rtol=1e-7, atol=1e-7)
    assert not torch.allclose(matrix(got), matrix(net), atol=1e-4)
