"""``PERTURBATIONS``: ways to draw neighbours x' of a sample, by name. To add one, add its line."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from rurklib.perturb import edits, noise
from rurklib.perturb.ball import check, inside, uniform
from rurklib.perturb.gradient import search, start, step
from rurklib.tensors import Bounds

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
        (self.tokens or check)(x, tau, bounds)


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
    "gaussian": blind(noise.normal),
    "uniform-linf": blind(partial(uniform, p=math.inf), math.inf),
    "uniform-l2": blind(partial(uniform, p=2), 2),
    "uniform-l1": blind(partial(uniform, p=1), 1),
    "sphere-l2": blind(noise.on_sphere),
    "delete": edit(edits.deleted, edits.check_texts),
    "swap": edit(edits.swapped, edits.check_texts),
    "typo": edit(edits.misspelt, edits.check_signs),
    "fgsm": one_step(targeted=True),
    "fgsm-untargeted": one_step(targeted=False),
    "pgd": searching(math.inf, targeted=True),
    "pgd-untargeted": searching(math.inf, targeted=False),
    "pgd-l2": searching(2, targeted=True),
    "pgd-l2-untargeted": searching(2, targeted=False),
    "pgd-l1": searching(1, targeted=True),
    "pgd-l1-untargeted": searching(1, targeted=False),
}
