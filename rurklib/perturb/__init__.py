"""Perturbed copies of a sample: pure functions ``(model, x, y, tau, ...) -> x'``.

Pixels live in [0, 1] and tau is in those units. Every x' lies inside its ball and inside the
bounds; tau = 0 returns x; the model and the global random state are left as found.

``LAWS`` names the laws by which residual knowledge draws neighbours. All have one signature,
``law.draw(model, x, y, tau, generator, bounds)``: a random law ignores model and y; a gradient law
is targeted at y, i.e. looks for neighbours that are still recognised. To add one, write the
function and its line here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rurklib.check import Bounds
from rurklib.perturb.gradient import fgsm, pgd
from rurklib.perturb.noise import gaussian

Draw = Callable[[nn.Module, Tensor, Tensor, float, torch.Generator, Bounds], Tensor]


@dataclass(frozen=True)
class Law:
    """A way to draw neighbours x' of x.

    ``uses_model``: the neighbours are found on a model, so which model matters and is recorded.
    ``random``: two draws differ; where False, one draw tells all.
    """

    draw: Draw
    uses_model: bool
    random: bool


LAWS: dict[str, Law] = {
    "gaussian": Law(
        lambda model, x, y, tau, generator, bounds: gaussian(
            x, tau, generator=generator, bounds=bounds
        ),
        uses_model=False,
        random=True,
    ),
    "fgsm": Law(
        lambda model, x, y, tau, generator, bounds: fgsm(
            model, x, y, tau, targeted=True, bounds=bounds
        ),
        uses_model=True,
        random=False,
    ),
    "pgd": Law(
        lambda model, x, y, tau, generator, bounds: pgd(
            model, x, y, tau, math.inf, targeted=True, generator=generator, bounds=bounds
        ),
        uses_model=True,
        random=True,
    ),
}

__all__ = ["LAWS", "Law", "fgsm", "gaussian", "pgd"]
