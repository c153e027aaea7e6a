"""Perturbed copies of a sample: random ones, those found by gradient, and ``PERTURBATIONS``, the
table of them by name.

Pixels live in [0, 1] and tau is in those units; where a text is edited, tau is the rate. Every x'
lies inside the bounds, and its ball if there is one; tau = 0 returns x; the model and the global
random state are left as found.

*Balls.* Displacements d = x' - x of shape [n, ...], sample by sample: the exact projection onto
{||d||_p <= tau} inside the box, and uniform points in it.

*Noise* looks at no model. Where a copy would leave the ``bounds``, each coordinate is clipped to
them, as torchattacks and the paper do. Clipping only ever brings a coordinate nearer to x, so a
copy stays in its ball; but its distribution is then no longer the one it is named after: it has a
lump of mass on each face of the box (for a black pixel under symmetric noise, half of it), and a
copy "on the sphere" lies inside.

*By gradient:* FGSM (Goodfellow et al. 2015) and PGD (Madry et al. 2018). ``targeted=False`` moves
away from the label y (up its cross-entropy); ``targeted=True`` moves *towards* y (down), which is
how residual knowledge is looked for: a point near x that the model still recognises as y. The model
is left as found: eval mode inside, its own modes after; gradients are taken with respect to the
input alone, so no ``.grad`` of a weight is touched. The loss is summed over the batch, never
averaged, so a sample's search doesn't depend on who else is in its batch (its random start does).

A public function checks what it is given; what draws a displacement, or searches from one, checks
nothing.
"""

import math
from collections.abc import Callable
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


def checked(x: Tensor, tau: float, bounds: Bounds) -> Tensor:
    """:func:`check_samples`, and x as floats."""
    check_samples(x, tau, bounds)
    return as_float(x)


def norm(d: Tensor, p: float) -> Tensor:
    """||d||_p of each sample, [n]."""
    return torch.linalg.vector_norm(d.flatten(1), ord=p, dim=1)


def check_p(p: float) -> float:
    """Return ``p`` if it is one of the norms offered (1, 2, infinity), else raise InputError."""
    if p not in (1, 2, math.inf):
        raise checks.InputError(f"p = {p!r}: expected 1, 2 or math.inf")
    return float(p)


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
    x = checked(x, tau, bounds)
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
    of the L2 ball's, and that of the L-inf ball's.

    Shapes: x [n, ...] float inside ``bounds`` -> [n, ...]. tau = 0 returns a copy of x.
    Raises InputError for NaN, out-of-range inputs, a negative tau or another p.
    """
    x = checked(x, tau, bounds)
    return inside(x, in_ball(x, tau, generator, check_p(p)), bounds)


def matched_radius(tau: float, p: float, dimensions: int) -> float:
    """Radius of the Lp ball whose uniform noise is as large as Gaussian noise of sd ``tau``.

    As large: the same root mean square a coordinate, so the same mean squared L2 length. With R the
    radius and d dimensions it is R^2 / 3 (p = inf), R^2 / (d + 2) (p = 2) and 2 R^2 / ((d + 1)
    (d + 2)) (p = 1, the coordinates' sizes are Dirichlet). Before clipping.

    >>> round(matched_radius(0.1, 2, 64), 3)
    0.812
    """
    d = checks.count("dimensions", dimensions)
    squared = {math.inf: 3.0, 2: d + 2.0, 1: (d + 1) * (d + 2) / 2}[check_p(p)]
    return checks.number("tau", tau, low=0.0) * math.sqrt(squared)


def sphere(
    x: Tensor, tau: float, *, generator: torch.Generator, bounds: Bounds = (0.0, 1.0)
) -> Tensor:
    """A point drawn uniformly from the L2 sphere ||x' - x||_2 = tau, clipped to ``bounds``.

    Of a linear model's copies a spherical cap is recognised, whose area is known. Shapes and
    errors as in :func:`uniform`.
    """
    x = checked(x, tau, bounds)
    return inside(x, on_sphere(x, tau, generator), bounds)


def on_sphere(x: Tensor, tau: float, generator: torch.Generator) -> Tensor:
    """Uniform points of the L2 sphere of radius tau around 0, shaped like x."""
    z = normal(x, 1.0, generator).flatten(1)
    return (tau * z / norm(z, 2)[:, None]).view_as(x)


def ascent(model: nn.Module, x: Tensor, y: Tensor, targeted: bool) -> Tensor:
    """Gradient of the summed log-odds against y with respect to x, pointing where the search goes.

    Log-odds are log sum exp of the other logits - logit of y. The cross-entropy is their softplus,
    so its gradient is this one times p(not y), sample by sample, and has its direction, which is
    all that a search takes. But for a confident net that factor is 0 in float32: multiply the
    logits by 30, and a search by cross-entropy stays where it is.
    """
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
    x = checked(x, tau, bounds)
    checks.labels(y, len(x))
    return step(model, x, y, tau, bounds, targeted=targeted)


def step(
    model: nn.Module, x: Tensor, y: Tensor, tau: float, bounds: Bounds, *, targeted: bool = False
) -> Tensor:
    """:func:`fgsm`, unchecked."""
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
    x, p = checked(x, tau, bounds), check_p(p)
    checks.labels(y, len(x))
    checks.count("steps", steps)
    if step_size is not None:
        checks.number("step_size", step_size, low=0.0)
    d = torch.zeros_like(x)
    if random_start:
        d = start(x, tau, generator, bounds, p)
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


Check = Callable[[Tensor, float, Bounds], Any]
Sample = Callable[[nn.Module, Tensor, Tensor, float, torch.Generator, Bounds], Tensor]
Start = Callable[[Tensor, float, torch.Generator, Bounds], Tensor]
Search = Callable[[nn.Module, Tensor, Tensor, float, Tensor, Bounds], Tensor]


@dataclass(frozen=True)
class Perturbation:
    """A way to draw neighbours x' of x: ``sample(model, x, y, tau, generator, bounds)`` -> x'.

    ``gradient_based``: the neighbours are found on a model, so which model matters and is recorded.
    ``random``: two draws differ; where False, one draw tells all.
    ``p``: copies fill, or are sought in, an Lp ball of radius tau; None: there is no such ball.
    ``targeted``: of one that searches, whether towards y.
    ``tokens``: it edits the columns of embedded texts [n, dim, length], and tau is a rate in
    [0, 1]; what raises InputError for other inputs, ``(x, tau, bounds)``.

    One whose chance lies in the starting point alone may say so: ``start(x, tau, generator,
    bounds)`` draws the displacement that ``search(model, x, y, tau, displacement, bounds)`` sets
    out from, sample by sample, and ``sample`` is one after the other. Many draws can then be
    searched in one batch, cut wherever memory asks for it, and every draw is what it is alone.

    Nothing is checked when neighbours are drawn: :meth:`check` is for whoever hands in samples.
    """

    sample: Sample
    gradient_based: bool = False
    random: bool = True
    start: Start | None = None
    search: Search | None = None
    p: float | None = None
    targeted: bool = True
    tokens: Check | None = None

    def check(self, x: Tensor, tau: float, bounds: Bounds) -> None:
        """Raise InputError for samples x [n, ...] that have no such neighbours at this radius."""
        (self.tokens or check_samples)(x, tau, bounds)


def blind(
    displacement: Callable[[Tensor, float, torch.Generator], Tensor], p: float | None = None
) -> Perturbation:
    """A displacement that looks at no model; ``p``: it fills that ball."""
    return Perturbation(
        lambda model, x, y, tau, g, bounds: inside(x, displacement(x, tau, g), bounds), p=p
    )


def edit(kernel: Callable[[Tensor, float, torch.Generator], Tensor], tokens: Check) -> Perturbation:
    """An edit of texts, which looks at no model."""
    return Perturbation(lambda model, x, y, tau, g, bounds: kernel(x, tau, g), tokens=tokens)


def one_step(targeted: bool) -> Perturbation:
    """FGSM: no chance in it."""
    own = partial(step, targeted=targeted)
    return Perturbation(
        lambda model, x, y, tau, _, bounds: own(model, x, y, tau, bounds),
        gradient_based=True,
        random=False,
        p=math.inf,
        targeted=targeted,
    )


def searching(p: float, targeted: bool) -> Perturbation:
    """PGD in the Lp ball, from a random start."""
    first, own = partial(start, p=p), partial(search, p=p, targeted=targeted)
    return Perturbation(
        lambda model, x, y, tau, g, b: own(model, x, y, tau, first(x, tau, g, b), b),
        gradient_based=True,
        start=first,
        search=own,
        p=p,
        targeted=targeted,
    )


PERTURBATIONS: dict[str, Perturbation] = {
    "gaussian": blind(normal),
    "uniform-linf": blind(partial(in_ball, p=math.inf), math.inf),
    "uniform-l2": blind(partial(in_ball, p=2), 2),
    "uniform-l1": blind(partial(in_ball, p=1), 1),
    "sphere-l2": blind(on_sphere),
    "delete": edit(edits.deleted, edits.check_texts),
    "swap": edit(edits.swapped, edits.check_texts),
    "typo": edit(edits.misspelt, edits.check_texts),
    "fgsm": one_step(targeted=True),
    "fgsm-untargeted": one_step(targeted=False),
    "pgd": searching(math.inf, targeted=True),
    "pgd-untargeted": searching(math.inf, targeted=False),
    "pgd-l2": searching(2, targeted=True),
    "pgd-l2-untargeted": searching(2, targeted=False),
    "pgd-l1": searching(1, targeted=True),
    "pgd-l1-untargeted": searching(1, targeted=False),
}
