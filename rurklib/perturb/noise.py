"""Random perturbations: laws that don't look at a model."""

from __future__ import annotations

import torch
from torch import Tensor

from rurklib import check


def gaussian(
    x: Tensor,
    tau: float,
    *,
    generator: torch.Generator,
    bounds: check.Bounds = (0.0, 1.0),
) -> Tensor:
    """x + tau * z with z standard normal, clipped to ``bounds``: the paper's law (B.2, B.4).

    ``tau`` is the standard deviation of a pixel, in units of the pixel range, as in
    ``torchattacks.GN(std=tau)``. The paper calls this "p = 2", but ||x' - x||_2 is about
    tau * sqrt(d), so x' does *not* lie in the L2 ball of radius tau.

    Shapes: x [n, ...] float inside ``bounds`` -> [n, ...]. tau = 0 returns a copy of x.
    Raises InputError for NaN, out-of-range inputs or a negative tau.
    """
    check.inputs(x, bounds)
    check.number("tau", tau, low=0.0)
    x = check.as_float(x)
    noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    noisy = noise.mul_(tau).add_(x)
    return noisy if bounds is None else noisy.clamp_(*bounds)
