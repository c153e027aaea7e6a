"""Perturbed copies of samples: random ones, those found by gradient, and ``PERTURBATIONS``, the
table of them by name.

``x`` are samples [n, ...], ``y`` their labels [n], ``d`` displacements shaped like x; copies are
x + d. Pixels live in [0, 1] and tau is in those units; where a text is edited, tau is the rate.
Copies lie inside the ``bounds`` and, but for Gaussian noise and edits, in the ball of radius tau;
tau = 0 returns x; the model and the global random state are left as found.

*Noise* looks at no model. Each coordinate is clipped to the bounds, as torchattacks and the paper
do. Clipping only ever brings a coordinate nearer to x, so a copy stays in its ball; but its
distribution then has a lump of mass on each face of the box: for a black pixel, half of it.

*By gradient:* FGSM (Goodfellow et al. 2015) and PGD (Madry et al. 2018). ``targeted=False`` moves
away from the label y (up its cross-entropy); ``targeted=True`` moves *towards* y (down), which is
how residual knowledge is looked for: a point near x that the model still recognises as y.
Gradients are taken with respect to the input alone, so no ``.grad`` of a weight is touched. The
loss is summed over the batch, never averaged, so a sample's search doesn't depend on who else is in
its batch (its random start does).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from rurklib import checks, edits
from rurklib.tensors import Bounds, as_float, evaluating

BISECTIONS = 40  # halves the bracket 40 times: below float32's resolution


def check_samples(x: Tensor, tau: float, bounds: Bounds, p: float = 2) -> None:
    """Raise InputError for samples x [n, ...] that have no copies at this radius in this norm."""
    checks.inputs(x, bounds)
    checks.number("tau", tau, low=0.0)
    if p not in (1, 2, math.inf):
        raise checks.InputError(f"p = {p!r}: expected 1, 2 or math.inf")


def norm(d: Tensor, p: float) -> Tensor:
    """||d||_p of each sample, [n]."""
    return torch.linalg.vector_norm(d.flatten(1), ord=p, dim=1)


def inside(x: Tensor, d: Tensor, bounds: Bounds) -> Tensor:
    """x + d, clipped to ``bounds``; after :func:`project` too, for x + (high - x) can round to just
    above high."""
    return x + d if bounds is None else (x + d).clamp_(*bounds)


def project(d: Tensor, x: Tensor, tau: float, p: float, bounds: Bounds) -> Tensor:
    """The nearest displacement (in L2) with ||d||_p <= tau and x + d inside ``bounds``.

    Clipping to the box after projecting onto the ball stays in both but isn't nearest; this is:
    the box holds 0, so the KKT conditions give ``clip(shrink(d, mu))`` with one mu >= 0 a sample,
    where shrink is d / (1 + mu) for L2 and soft thresholding for L1. The norm falls with mu, so mu
    is found by bisection. For L-inf the two boxes intersect in a box and no search is needed.

    Shapes: d, x [n, ...] -> [n, ...].
    """
    low, high = (-math.inf, math.inf) if bounds is None else bounds
    lower, upper = low - x, high - x  # lower <= 0 <= upper, for x is inside the bounds
    if tau == 0:
        return torch.zeros_like(d)
    if p == math.inf:
        return d.clamp(lower.clamp(min=-tau), upper.clamp(max=tau))

    def shrink(mu: Tensor) -> Tensor:
        mu = mu.view(-1, *[1] * (d.ndim - 1))
        smaller = d / (1 + mu) if p == 2 else d.sign() * (d.abs() - mu).clamp(min=0)
        return smaller.clamp(lower, upper)

    mu_low = zero = d.new_zeros(len(d))
    # At these mu the norm is at most tau, so the upper end of the bracket is always feasible.
    mu_high = norm(d, 2) / tau if p == 2 else norm(d, math.inf)
    for _ in range(BISECTIONS):
        mu = (mu_low + mu_high) / 2
        outside = norm(shrink(mu), p) > tau
        mu_low, mu_high = torch.where(outside, mu, mu_low), torch.where(outside, mu_high, mu)
    return shrink(torch.where(norm(shrink(zero), p) <= tau, zero, mu_high))


def gaussian(
    x: Tensor, tau: float, *, generator: torch.Generator, bounds: Bounds = (0.0, 1.0)
) -> Tensor:
    """x + tau * z with z standard normal, clipped to ``bounds``: the paper's noise (B.2, B.4).

    ``tau`` is the standard deviation of a pixel, in units of the pixel range, as in
    ``torchattacks.GN(std=tau)``. The paper calls this "p = 2", but ||x' - x||_2 is about
    tau * sqrt(d), so x' does *not* lie in the L2 ball of radius tau.

    Shapes: x [n, ...] float inside ``bounds`` -> [n, ...]. tau = 0 returns a copy of x.
    Raises InputError for NaN, out-of-range inputs or a negative tau.
    """
    check_samples(x, tau, bounds)
    x = as_float(x)
    z = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    return inside(x, z.mul_(tau), bounds)


def uniform(
    x: Tensor, tau: float, p: float, *, generator: torch.Generator, bounds: Bounds = (0.0, 1.0)
) -> Tensor:
    """A point drawn uniformly from the Lp ball of radius tau around x (p = 1, 2, inf), clipped.

    In d dimensions the radius R has Pr[R <= r] = (r / tau)^d: nearly every copy lies close to the
    surface. Equal tau means very different copies: the volume of the L1 ball is a vanishing share
    of the L2 ball's, and that of the L-inf ball's. Shapes and errors as in :func:`gaussian`.
    """
    check_samples(x, tau, bounds, p)
    x = as_float(x)
    return inside(x, in_ball(x, tau, p, generator), bounds)


def in_ball(x: Tensor, tau: float, p: float, generator: torch.Generator) -> Tensor:
    """Displacements drawn uniformly from the ball {||d||_p <= tau} around 0, shaped like x.

    A uniform direction times a uniform radius is *not* uniform in the ball: it crowds the centre.
    L2: the first d coordinates of a uniform point on the sphere in d + 2 dimensions. L1: signed
    exponentials divided by their sum and one more exponential (Barthe et al., 2005).
    """
    n, d = len(x), x[0].numel()
    if p == math.inf:
        return (x.new_empty(x.shape).uniform_(generator=generator) * 2 - 1) * tau
    if p == 2:
        z = x.new_empty(n, d + 2).normal_(generator=generator)
        return tau * (z / norm(z, 2)[:, None])[:, :d].reshape(x.shape)
    e = x.new_empty(n, d + 1).exponential_(generator=generator)
    sign = torch.randint(0, 2, (n, d), generator=generator, device=x.device) * 2 - 1
    return tau * (sign * e[:, :d] / e.sum(1, keepdim=True)).reshape(x.shape)


class InPieces(nn.Module):
    """A model of which gradients are taken at ``batch_size`` samples at a time at most, so that any
    number of draws can be searched at once."""

    def __init__(self, model: nn.Module, batch_size: int) -> None:
        super().__init__()
        self.model, self.batch_size = model, batch_size

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


def ascent(model: nn.Module, x: Tensor, y: Tensor, targeted: bool) -> Tensor:
    """Gradient of the summed log-odds against y with respect to x, pointing where the search goes.

    Log-odds are log sum exp of the other logits - logit of y. The cross-entropy is their softplus,
    so its gradient is this one times p(not y), sample by sample, and has its direction, which is
    all that a search takes. But for a confident net that factor is 0 in float32: multiply the
    logits by 30, and a search by cross-entropy stays where it is.
    """
    if isinstance(model, InPieces):
        pieces = -(-len(x) // model.batch_size)
        cut = zip(x.tensor_split(pieces), y.tensor_split(pieces), strict=True)
        return torch.cat([ascent(model.model, a, b, targeted) for a, b in cut])
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        logits, own = model(x), y[:, None]
        others = logits.scatter(1, own, -math.inf).logsumexp(1)
        loss = (others - logits.gather(1, own)[:, 0]).sum()
        (gradient,) = torch.autograd.grad(loss, x)
    return -gradient if targeted else gradient


def fgsm(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    tau: float,
    *,
    targeted: bool = False,
    bounds: Bounds = (0.0, 1.0),
) -> Tensor:
    """One signed gradient step of size tau: x' = clip(x +- tau * sign(grad)), in the L-inf ball.

    Away from y; towards it if ``targeted``, as ``perturbation="fgsm"`` is. x [n, ...] float inside
    ``bounds``, y int64 [n] -> [n, ...]; tau = 0: a copy. Raises InputError for what can't be used.
    """
    return pgd(model, x, y, tau, steps=1, step_size=tau, targeted=targeted, bounds=bounds)


def pgd(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    tau: float,
    p: float = math.inf,
    *,
    start: Tensor | None = None,
    steps: int = 10,
    step_size: float | None = None,
    targeted: bool = False,
    bounds: Bounds = (0.0, 1.0),
) -> Tensor:
    """Projected gradient steps inside the Lp ball of radius tau and the box (p = 1, 2, inf).

    Each step goes ``step_size`` along the gradient's sign (L-inf), along the gradient scaled to L2
    length 1 (L2) or to largest entry 1 (L1), then to the *nearest* point of ball and box
    (:func:`project`), so on a linear model it converges to the optimum in every norm. Returns
    the last iterate, as torchattacks and the paper do. ``step_size`` defaults to 2.5 * tau / steps
    (Madry et al.; the paper's is 2/255); in L1 to 2.5 * tau, because there the budget belongs on
    few coordinates and small steps spread it over many. On linear models ten default steps reach
    95 % of the optimum, but in L2 only 70 % of it where the box cuts off much of the ball: take
    more or larger steps there. The search sets out from x, or from x + ``start``: a displacement
    shaped like x, such as Madry's :func:`random_start`.

    Shapes: x [n, ...] float inside ``bounds``, y int64 [n] -> [n, ...]. tau = 0 returns a copy.
    Raises InputError for what can't be used.
    """
    check_samples(x, tau, bounds, p)
    checks.labels(y, len(x))
    x = as_float(x)
    d = torch.zeros_like(x) if start is None else start
    if step_size is None:
        step_size = 2.5 * tau if p == 1 else 2.5 * tau / steps
    with evaluating(model):
        for _ in range(steps):
            gradient = ascent(model, inside(x, d, bounds), y, targeted)
            d = project(d + step_size * direction(gradient, p), x, tau, p, bounds)
    return inside(x, d, bounds)


def random_start(
    x: Tensor, tau: float, p: float, generator: torch.Generator, bounds: Bounds
) -> Tensor:
    """Where PGD sets out: a displacement drawn uniformly from the ball, moved into the box."""
    return project(in_ball(x, tau, p, generator), x, tau, p, bounds)


def direction(g: Tensor, p: float) -> Tensor:
    """The gradient scaled sample by sample; where it is 0 there is no direction: stay."""
    if p == math.inf:
        return g.sign()
    shape = (-1, *[1] * (g.ndim - 1))
    largest = norm(g, math.inf).view(shape)  # first, or squares of tiny gradients underflow
    g = torch.where(largest > 0, g / largest, torch.zeros_like(g))
    return g if p == 1 else g / norm(g, 2).view(shape).clamp(min=1.0)


@dataclass(frozen=True)
class Perturbation:
    """A way to make copies of samples x [n, ...], one of each for each of several generators.

    ``sample(model, x, y, tau, generators, bounds)`` -> [len(generators) * n, ...], the first
    generator's n copies first; x are floats. A draw is what it is alone, whatever other generators
    there are. ``gradient_based``: copies are found on a model, so which model matters and is
    recorded. ``random``: two draws differ; where False, one draw stands for all.
    ``check(x, tau, bounds)`` raises InputError for samples that have no such copies at this radius.
    """

    sample: Callable[..., Tensor]
    gradient_based: bool = False
    random: bool = True
    check: Callable[..., None] = check_samples


def noise(draw: Callable[..., Tensor], check: Callable[..., None] = check_samples) -> Perturbation:
    """Copies by ``draw(x, tau, generator=..., bounds=...)``, which looks at no model."""

    def sample(model, x, y, tau, generators, bounds):
        return torch.cat([draw(x, tau, generator=g, bounds=bounds) for g in generators])

    return Perturbation(sample, check=check)


def search(p: float | None, targeted: bool) -> Perturbation:
    """PGD in the Lp ball, from a random start for each draw; p = None: FGSM, without chance."""

    def sample(model, x, y, tau, generators, bounds):
        draws, options = len(generators), {"targeted": targeted, "bounds": bounds}
        if p is None:
            return torch.cat([fgsm(model, x, y, tau, **options)] * draws)
        start = torch.cat([random_start(x, tau, p, g, bounds) for g in generators])
        x, y = torch.cat([x] * draws), y.repeat(draws)  # all draws are searched in one batch
        return pgd(model, x, y, tau, p, start=start, **options)

    return Perturbation(sample, gradient_based=True, random=p is not None)


# The norm of the ball that copies fill, or are looked for in.
BALLS = {"uniform-linf": math.inf, "uniform-l2": 2, "uniform-l1": 1}
SEARCHES = {"fgsm": None, "pgd": math.inf, "pgd-l2": 2, "pgd-l1": 1}
PERTURBATIONS: dict[str, Perturbation] = {
    "gaussian": noise(gaussian),
    **{name: noise(partial(uniform, p=p)) for name, p in BALLS.items()},
    "delete": noise(edits.delete, edits.check_texts),
    "swap": noise(edits.swap, edits.check_texts),
    "typo": noise(edits.typo, edits.check_texts),
}
for _name, _p in SEARCHES.items():
    PERTURBATIONS[_name] = search(_p, targeted=True)
    PERTURBATIONS[f"{_name}-untargeted"] = search(_p, targeted=False)
