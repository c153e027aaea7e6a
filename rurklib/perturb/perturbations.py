"""Perturbed copies of a sample: pure functions ``(model, x, y, tau, ...) -> x'``.

Pixels live in [0, 1] and tau is in those units; where a text is edited, tau is the rate. Every x'
lies inside its ball and inside the bounds; tau = 0 returns x; the model and the global random state
are left as found.

``PERTURBATIONS`` names the laws by which residual knowledge draws neighbours. All have one
signature, ``law.sample(model, x, y, tau, generator, bounds)``: a random law ignores model and y; a
gradient law is targeted at y, i.e. looks for neighbours that are still recognised, unless its name
ends in ``-untargeted``. To add one, write the function and its line here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from rurklib.perturb.edits import delete, swap, typo
from rurklib.perturb.gradient import fgsm, pgd, start
from rurklib.perturb.noise import gaussian, sphere, uniform
from rurklib.samples import Bounds

Sample = Callable[[nn.Module, Tensor, Tensor, float, torch.Generator, Bounds], Tensor]


Start = Callable[[Tensor, float, torch.Generator, Bounds], Tensor]


Search = Callable[[nn.Module, Tensor, Tensor, float, Tensor, Bounds], Tensor]


@dataclass(frozen=True)
class Perturbation:
    """A way to draw neighbours x' of x.

    ``gradient_based``: the neighbours are found on a model, so which model matters and is recorded.
    ``random``: two draws differ; where False, one draw tells all.
    ``p``: copies fill, or are sought in, an Lp ball of radius tau; None: there is no such ball.
    ``targeted``: of a law that searches, whether towards y.
    ``tokens``: it edits the columns of embedded texts [n, dim, length], and refuses other inputs;
    tau is then a rate in [0, 1].

    A law whose chance lies in the starting point alone may say so: ``start(x, tau, generator,
    bounds)`` draws the displacement that ``search(model, x, y, tau, displacement, bounds)`` sets
    out from, sample by sample, and ``draw`` is one after the other. Many draws can then be
    searched in one batch, cut wherever memory asks for it, and every draw is what it is alone.
    """

    sample: Sample
    gradient_based: bool
    random: bool
    start: Start | None = None
    search: Search | None = None
    p: float | None = None
    targeted: bool = True
    tokens: bool = False


def noise(
    function: Callable[..., Tensor], p: float | None = None, *, tokens: bool = False
) -> Perturbation:
    """The law of a function ``(x, tau, *, generator, bounds)`` that looks at no model; one that
    fills a ball takes its ``p`` as well."""
    options = {} if p is None else {"p": p}

    def draw(
        model: nn.Module,
        x: Tensor,
        y: Tensor,
        tau: float,
        generator: torch.Generator,
        bounds: Bounds,
    ) -> Tensor:
        return function(x, tau, generator=generator, bounds=bounds, **options)

    return Perturbation(draw, gradient_based=False, random=True, p=p, tokens=tokens)


def step(targeted: bool) -> Perturbation:
    """FGSM's law: no chance in it."""

    def draw(
        model: nn.Module,
        x: Tensor,
        y: Tensor,
        tau: float,
        generator: torch.Generator,
        bounds: Bounds,
    ) -> Tensor:
        return fgsm(model, x, y, tau, targeted=targeted, bounds=bounds)

    return Perturbation(draw, gradient_based=True, random=False, p=math.inf, targeted=targeted)


def search(p: float, targeted: bool) -> Perturbation:
    """PGD's law in the Lp ball, from a random start."""

    def draw(
        model: nn.Module,
        x: Tensor,
        y: Tensor,
        tau: float,
        generator: torch.Generator,
        bounds: Bounds,
    ) -> Tensor:
        return pgd(model, x, y, tau, p, targeted=targeted, generator=generator, bounds=bounds)

    def onward(
        model: nn.Module, x: Tensor, y: Tensor, tau: float, displacement: Tensor, bounds: Bounds
    ) -> Tensor:
        return pgd(model, x, y, tau, p, targeted=targeted, start_at=displacement, bounds=bounds)

    begin = partial(start, p=p)
    return Perturbation(
        draw, gradient_based=True, random=True, start=begin, search=onward, p=p, targeted=targeted
    )


PERTURBATIONS: dict[str, Perturbation] = {
    "gaussian": noise(gaussian),
    "uniform-linf": noise(uniform, p=math.inf),
    "uniform-l2": noise(uniform, p=2),
    "uniform-l1": noise(uniform, p=1),
    "sphere-l2": noise(sphere),
    "delete": noise(delete, tokens=True),
    "swap": noise(swap, tokens=True),
    "typo": noise(typo, tokens=True),
    "fgsm": step(targeted=True),
    "fgsm-untargeted": step(targeted=False),
    "pgd": search(math.inf, targeted=True),
    "pgd-untargeted": search(math.inf, targeted=False),
    "pgd-l2": search(2, targeted=True),
    "pgd-l2-untargeted": search(2, targeted=False),
    "pgd-l1": search(1, targeted=True),
    "pgd-l1-untargeted": search(1, targeted=False),
}
