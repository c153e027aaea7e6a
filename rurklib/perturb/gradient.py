"""Perturbations found by gradient: FGSM (Goodfellow et al. 2015) and PGD (Madry et al. 2018).

``targeted=False`` moves away from the label y (up its cross-entropy); ``targeted=True`` moves
*towards* y (down), which is how residual knowledge is looked for: a point near x that the model
still recognises as y.

The model is left as found: eval mode inside, its own modes after; gradients are taken with respect
to the input alone, so no ``.grad`` of a weight is touched. The loss is summed over the batch, never
averaged, so a sample's search doesn't depend on who else is in its batch (its random start does).
:func:`fgsm` and :func:`pgd` check what they are given; :func:`step` and :func:`search` don't.
"""

import math

import torch
from torch import Tensor, nn

from rurklib import checks
from rurklib.perturb.ball import check_p, checked, inside, norm, project, uniform
from rurklib.tensors import Bounds, evaluating


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
    _check_labelled(model, x, y)
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
    (:func:`ball.project`), so on a linear model it converges to the optimum in every norm. Returns
    the last iterate, as torchattacks and the paper do. ``step_size`` defaults to 2.5 * tau / steps
    (Madry et al.; the paper's is 2/255); in L1 to 2.5 * tau, because there the budget belongs on
    few coordinates and small steps spread it over many. On linear models ten default steps reach
    95 % of the optimum, but in L2 only 70 % of it where the box cuts off much of the ball: take
    more or larger steps there. ``random_start`` draws uniformly from the ball and needs a
    ``generator``; without it the search sets out from x.

    Shapes: x [n, ...] float inside ``bounds``, y int64 [n] -> [n, ...]. tau = 0 returns a copy.
    Raises InputError for what can't be used.
    """
    x, p = checked(x, tau, bounds), check_p(p)
    _check_labelled(model, x, y)
    checks.count("steps", steps)
    if step_size is not None:
        checks.number("step_size", step_size, low=0.0)
    d = torch.zeros_like(x)
    if random_start:
        if generator is None:
            raise checks.InputError(
                "pgd: random_start needs a generator, e.g. torch.Generator().manual_seed(0)"
            )
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


def start(x: Tensor, tau: float, generator: torch.Generator, bounds: Bounds, p: float) -> Tensor:
    """Where PGD sets out: a displacement drawn uniformly from the ball, moved into the box."""
    return project(uniform(x, tau, generator, p), x, tau, p, bounds)


def _direction(g: Tensor, p: float) -> Tensor:
    """The gradient scaled sample by sample; where it is 0 there is no direction: stay."""
    if p == math.inf:
        return g.sign()
    shape = (-1, *[1] * (g.ndim - 1))
    largest = norm(g, math.inf).view(shape)  # first, or squares of tiny gradients underflow
    g = torch.where(largest > 0, g / largest, torch.zeros_like(g))
    return g if p == 1 else g / norm(g, 2).view(shape).clamp(min=1.0)


def _check_labelled(model: nn.Module, x: Tensor, y: Tensor) -> None:
    checks.labels(y, len(x))
    if not isinstance(model, nn.Module):
        raise checks.InputError(f"model is a {type(model).__name__}: expected a torch.nn.Module")
