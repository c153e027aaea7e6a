"""Perturbed copies of a sample: random ones, those found by gradient, and ``PERTURBATIONS``, the
table of them by name.

Pixels live in [0, 1] and tau is in those units; where a text is edited, tau is the rate. Every x'
lies inside the bounds, and its ball if there is one; tau = 0 returns x; the model and the global
random state are left as found.

*Noise* looks at no model. Where a copy would leave the ``bounds``, each coordinate is clipped to
them, as torchattacks and the paper do. Clipping only ever brings a coordinate nearer to x, so a
copy stays in its ball; but its distribution then has a lump of mass on each face of the box: for a
black pixel under symmetric noise, half of it.

*By gradient:* FGSM (Goodfellow et al. 2015) and PGD (Madry et al. 2018). ``targeted=False`` moves
away from the label y (up its cross-entropy); ``targeted=True`` moves *towards* y (down), which is
how residual knowledge is looked for: a point near x that the model still recognises as y.
Gradients are taken with respect to the input alone, so no ``.grad`` of a weight is touched. The
loss is summed over the batch, never averaged, so a sample's search doesn't depend on who else is in
its batch (its random start does).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from rurklib import checks, edits
from rurklib.tensors import Bounds, as_float, evaluating

BISECTIONS = 40  # halves the bracket 40 times: below float32's resolution


def check_samples(x: Tensor, tau: float, bounds: Bounds) -> None:
    """Raise InputError for samples x [n, ...] that have no neighbours at this radius."""
    checks.inputs(x, bounds)
    checks.number("tau", tau, low=0.0)


def norm(d: Tensor, p: float) -> Tensor:
    """||d||_p of each sample, [n]."""
    return torch.linalg.vector_norm(d.flatten(1), ord=p, dim=1)


def check_p(p: float) -> None:
    """Raise InputError unless ``p`` is one of the norms offered: 1, 2, infinity."""
    if p not in (1, 2, math.inf):
        raise checks.InputError(f"p = {p!r}: expected 1, 2 or math.inf")


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
        moved = d / (1 + mu) if p == 2 else d.sign() * (d.abs() - mu).clamp(min=0)
        return moved.clamp(lower, upper)

    inside = norm(shrink(torch.zeros(len(d), device=d.device, dtype=d.dtype)), p) <= tau
    mu_low = torch.zeros(len(d), device=d.device, dtype=d.dtype)
    # At these mu the norm is at most tau, so the upper end of the bracket is always feasible.
    mu_high = norm(d, 2) / tau if p == 2 else norm(d, math.inf)
    for _ in range(BISECTIONS):
        mu = (mu_low + mu_high) / 2
        outside = norm(shrink(mu), p) > tau
        mu_low, mu_high = torch.where(outside, mu, mu_low), torch.where(outside, mu_high, mu)
    return shrink(torch.where(inside, torch.zeros_like(mu_high), mu_high))


def inside(x: Tensor, d: Tensor, bounds: Bounds) -> Tensor:
    """x + d, clipped to ``bounds``; after :func:`project` too, for x + (high - x) can round to just
    above high."""
    return x + d if bounds is None else (x + d).clamp_(*bounds)


def in_ball(x: Tensor, tau: float, generator: torch.Generator | None, p: float) -> Tensor:
    """Displacements drawn uniformly from the ball {||d||_p <= tau} around 0, shaped like x.

    A uniform direction times a uniform radius is *not* uniform in the ball: it crowds the centre.
    L2: the first d coordinates of a uniform point on the sphere in d + 2 dimensions. L1: signed
    exponentials divided by their sum and one more exponential (Barthe et al., 2005).
    """
    n, d = len(x), x[0].numel()
    like: dict[str, Any] = {"device": x.device, "dtype": x.dtype}
    if p == math.inf:
        return (torch.rand(x.shape, generator=generator, **like) * 2 - 1) * tau
    if p == 2:
        z = torch.randn(n, d + 2, generator=generator, **like)
        return tau * (z / norm(z, 2)[:, None])[:, :d].reshape(x.shape)
    e = torch.empty(n, d + 1, **like).exponential_(generator=generator)
    sign = torch.randint(0, 2, (n, d), generator=generator, device=x.device) * 2 - 1
    return tau * (sign * e[:, :d] / e.sum(1, keepdim=True)).reshape(x.shape)


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
    return inside(x, normal(x, tau, generator), bounds)


def normal(x: Tensor, tau: float, generator: torch.Generator) -> Tensor:
    """tau * z with z standard normal, shaped like x."""
    return torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype).mul_(tau)


def uniform(
    x: Tensor, tau: float, p: float, *, generator: torch.Generator, bounds: Bounds = (0.0, 1.0)
) -> Tensor:
    """A point drawn uniformly from the Lp ball of radius tau around x (p = 1, 2, inf), clipped.

    In d dimensions the radius R has Pr[R <= r] = (r / tau)^d: nearly every copy lies close to the
    surface. Equal tau means very different copies: the volume of the L1 ball is a vanishing share
    of the L2 ball's, and that of the L-inf ball's. Shapes and errors as in :func:`gaussian`.
    """
    check_samples(x, tau, bounds)
    check_p(p)
    x = as_float(x)
    return inside(x, in_ball(x, tau, generator, p), bounds)


def matched_radius(tau: float, p: float, dimensions: int) -> float:
    """Radius of the Lp ball whose uniform noise is as large as Gaussian noise of sd ``tau``.

    As large: the same root mean square a coordinate, so the same mean squared L2 length. With R the
    radius and d dimensions it is R^2 / 3 (p = inf), R^2 / (d + 2) (p = 2) and 2 R^2 / ((d + 1)
    (d + 2)) (p = 1, the coordinates' sizes are Dirichlet). Before clipping.

    >>> round(matched_radius(0.1, 2, 64), 3)
    0.812
    """
    d = dimensions
    return tau * math.sqrt({math.inf: 3.0, 2: d + 2.0, 1: (d + 1) * (d + 2) / 2}[p])


class InPieces(nn.Module):
    """A model of which gradients are taken at ``batch_size`` samples at a time at most."""

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
    check_samples(x, tau, bounds)
    checks.labels(y, len(x))
    x = as_float(x)
    with evaluating(model):
        d = tau * ascent(model, x, y, targeted).sign()
    return inside(x, project(d, x, tau, math.inf, bounds), bounds)


def pgd(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    tau: float,
    p: float = math.inf,
    *,
    steps: int = 10,
    step_size: float | None = None,
    targeted: bool = False,
    random_start: bool = True,
    generator: torch.Generator | None = None,
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
    more or larger steps there. ``random_start`` draws uniformly from the ball by the
    ``generator``; without it the search sets out from x.

    Shapes: x [n, ...] float inside ``bounds``, y int64 [n] -> [n, ...]. tau = 0 returns a copy.
    Raises InputError for what can't be used.
    """
    check_samples(x, tau, bounds)
    check_p(p)
    checks.labels(y, len(x))
    x = as_float(x)
    d = start(x, tau, generator, bounds, p) if random_start else torch.zeros_like(x)
    return search(
        model, x, y, tau, d, bounds, p=p, targeted=targeted, steps=steps, step_size=step_size
    )


def search(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    tau: float,
    d: Tensor,
    bounds: Bounds,
    *,
    p: float = math.inf,
    targeted: bool = False,
    steps: int = 10,
    step_size: float | None = None,
) -> Tensor:
    """:func:`pgd` from a displacement d that was drawn before (:func:`start`), unchecked."""
    if step_size is None:
        step_size = 2.5 * tau if p == 1 else 2.5 * tau / steps
    with evaluating(model):
        for _ in range(steps):
            g = ascent(model, inside(x, d, bounds), y, targeted)
            d = project(d + step_size * _direction(g, p), x, tau, p, bounds)
    return inside(x, d, bounds)


def start(
    x: Tensor, tau: float, generator: torch.Generator | None, bounds: Bounds, p: float
) -> Tensor:
    """Where PGD sets out: a displacement drawn uniformly from the ball, moved into the box."""
    return project(in_ball(x, tau, generator, p), x, tau, p, bounds)


def _direction(g: Tensor, p: float) -> Tensor:
    """The gradient scaled sample by sample; where it is 0 there is no direction: stay."""
    if p == math.inf:
        return g.sign()
    shape = (-1, *[1] * (g.ndim - 1))
    largest = norm(g, math.inf).view(shape)  # first, or squares of tiny gradients underflow
    g = torch.where(largest > 0, g / largest, torch.zeros_like(g))
    return g if p == 1 else g / norm(g, 2).view(shape).clamp(min=1.0)


Check = Callable[[Tensor, float, Bounds], None]
Sample = Callable[
    [nn.Module, Tensor, Tensor, float, Sequence[torch.Generator], Bounds],
    Tensor,
]


@dataclass(frozen=True)
class Perturbation:
    """A way to draw copies x' of samples x [n, ...], one for each of several generators.

    ``sample(model, x, y, tau, generators, bounds)`` -> [len(generators) * n, ...], the first
    generator's n copies first. A draw is what it is alone, whatever other generators there are.
    ``gradient_based``: copies are found on a model, so which model matters and is recorded.
    ``random``: two draws differ; where False, one draw stands for all.
    ``check(x, tau, bounds)`` raises InputError for samples that have no such copies at this radius;
    ``sample`` need not check again.
    """

    sample: Sample
    gradient_based: bool = False
    random: bool = True
    check: Check = check_samples


def noise(displacement: Callable[[Tensor, float, torch.Generator], Tensor]) -> Perturbation:
    """Copies moved by a displacement that looks at no model."""

    def sample(
        model: nn.Module,
        x: Tensor,
        y: Tensor,
        tau: float,
        generators: Sequence[torch.Generator],
        bounds: Bounds,
    ) -> Tensor:
        return torch.cat([inside(x, displacement(x, tau, g), bounds) for g in generators])

    return Perturbation(sample)


def edit(kernel: Callable[[Tensor, float, torch.Generator], Tensor]) -> Perturbation:
    """Texts edited, which looks at no model."""
    return Perturbation(
        lambda model, x, y, tau, generators, bounds: torch.cat(
            [kernel(x, tau, g) for g in generators]
        ),
        check=edits.check_texts,
    )


def one_step(targeted: bool) -> Perturbation:
    """FGSM: no chance in it."""
    return Perturbation(
        lambda model, x, y, tau, generators, bounds: fgsm(
            model, x, y, tau, targeted=targeted, bounds=bounds
        ).repeat(len(generators), *[1] * (x.ndim - 1)),
        gradient_based=True,
        random=False,
    )


def searching(p: float, targeted: bool) -> Perturbation:
    """PGD in the Lp ball: a random start for each draw, and all searched in one batch."""

    def sample(
        model: nn.Module,
        x: Tensor,
        y: Tensor,
        tau: float,
        generators: Sequence[torch.Generator],
        bounds: Bounds,
    ) -> Tensor:
        d = torch.cat([start(x, tau, g, bounds, p) for g in generators])
        draws = len(generators)
        xs, ys = torch.cat([x] * draws), y.repeat(draws)
        return search(model, xs, ys, tau, d, bounds, p=p, targeted=targeted)

    return Perturbation(sample, gradient_based=True)


# The norm of the ball that copies fill, or are looked for in.
BALLS = {"uniform-linf": math.inf, "uniform-l2": 2, "uniform-l1": 1}
SEARCHES = {"pgd": math.inf, "pgd-l2": 2, "pgd-l1": 1}
PERTURBATIONS: dict[str, Perturbation] = {
    "gaussian": noise(normal),
    **{name: noise(partial(in_ball, p=p)) for name, p in BALLS.items()},
    "delete": edit(edits.delete),
    "swap": edit(edits.swap),
    "typo": edit(edits.typo),
    "fgsm": one_step(targeted=True),
    "fgsm-untargeted": one_step(targeted=False),
}
for _name, _p in SEARCHES.items():
    PERTURBATIONS[_name] = searching(_p, targeted=True)
    PERTURBATIONS[f"{_name}-untargeted"] = searching(_p, targeted=False)
