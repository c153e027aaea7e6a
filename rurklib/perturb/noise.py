"""Random perturbations, which don't look at a model.

A public function checks what it is given and adds a displacement; what draws that (here, or
:func:`rurklib.perturb.ball.uniform`) checks nothing.

Where a copy would leave the ``bounds``, each coordinate is clipped to them, as torchattacks and the
paper do. Clipping only ever brings a coordinate nearer to x, so a copy stays in its ball; but its
distribution is then no longer the one it is named after: it has a lump of mass on each face of the
box (for a black pixel under symmetric noise, half of it), and a copy "on the sphere" lies inside.
"""

import math

import torch
from torch import Tensor

from rurklib import checks
from rurklib.perturb import ball
from rurklib.perturb.ball import checked, inside
from rurklib.tensors import Bounds


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
    return inside(x, ball.uniform(x, tau, generator, ball.check_p(p)), bounds)


def matched_radius(tau: float, p: float, dimensions: int) -> float:
    """Radius of the Lp ball whose uniform noise is as large as Gaussian noise of sd ``tau``.

    As large: the same root mean square a coordinate, so the same mean squared L2 length. With R the
    radius and d dimensions it is R^2 / 3 (p = inf), R^2 / (d + 2) (p = 2) and 2 R^2 / ((d + 1)
    (d + 2)) (p = 1, the coordinates' sizes are Dirichlet). Before clipping.

    >>> round(matched_radius(0.1, 2, 64), 3)
    0.812
    """
    d = checks.count("dimensions", dimensions)
    squared = {math.inf: 3.0, 2: d + 2.0, 1: (d + 1) * (d + 2) / 2}[ball.check_p(p)]
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
    return (tau * z / ball.norm(z, 2)[:, None]).view_as(x)
