"""Balls: the exact projection onto {||d||_p <= tau} inside the box, and uniform points in them.

Everything acts on displacements d = x' - x of shape [n, ...], sample by sample, and checks nothing
but :func:`checked`, which the public functions of this folder begin with.
"""

import math
from typing import Any

import torch
from torch import Tensor

from rurklib import checks
from rurklib.tensors import Bounds, as_float

BISECTIONS = 40  # halves the bracket 40 times: below float32's resolution


def check(x: Tensor, tau: float, bounds: Bounds) -> None:
    """Raise InputError for samples x [n, ...] that have no neighbours at this radius."""
    checks.inputs(x, bounds)
    checks.number("tau", tau, low=0.0)


def checked(x: Tensor, tau: float, bounds: Bounds) -> Tensor:
    """:func:`check`, and x as floats."""
    check(x, tau, bounds)
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


def uniform(x: Tensor, tau: float, generator: torch.Generator, p: float) -> Tensor:
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
