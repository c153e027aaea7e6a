"""``PERTURBATIONS``: ways to draw neighbours x' of a sample, by name. To add one, add its line."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from rurklib import checks
from rurklib.perturb import edits, noise
from rurklib.perturb.gradient import fgsm, pgd, start
from rurklib.samples import Bounds

Check = Callable[[Tensor, float, Bounds], None]
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
        checks.inputs(x, bounds)
        checks.number("tau", tau, low=0.0)
        if self.tokens:
            self.tokens(x, tau, bounds)


def blind(
    kernel: Callable[..., Tensor], p: float | None = None, tokens: Check | None = None
) -> Perturbation:
    """Of a kernel ``(x, tau, *, generator, bounds)`` that looks at no model; one that fills a ball
    takes its ``p`` as well."""
    own = kernel if p is None else partial(kernel, p=p)
    return Perturbation(
        lambda model, x, y, tau, generator, bounds: own(x, tau, generator=generator, bounds=bounds),
        p=p,
        tokens=tokens,
    )


def one_step(targeted: bool) -> Perturbation:
    """FGSM: no chance in it."""
    own = partial(fgsm, targeted=targeted)
    return Perturbation(
        lambda model, x, y, tau, _, bounds: own(model, x, y, tau, bounds=bounds),
        gradient_based=True,
        random=False,
        p=math.inf,
        targeted=targeted,
    )


def searching(p: float, targeted: bool) -> Perturbation:
    """PGD in the Lp ball, from a random start."""
    own = partial(pgd, p=p, targeted=targeted)
    return Perturbation(
        lambda model, x, y, tau, g, bounds: own(model, x, y, tau, generator=g, bounds=bounds),
        gradient_based=True,
        start=partial(start, p=p),
        search=lambda model, x, y, tau, d, bounds: own(model, x, y, tau, start_at=d, bounds=bounds),
        p=p,
        targeted=targeted,
    )


PERTURBATIONS: dict[str, Perturbation] = {
    "gaussian": blind(noise.gaussian),
    "uniform-linf": blind(noise.uniform, math.inf),
    "uniform-l2": blind(noise.uniform, 2),
    "uniform-l1": blind(noise.uniform, 1),
    "sphere-l2": blind(noise.sphere),
    "delete": blind(edits.delete, tokens=edits.check_texts),
    "swap": blind(edits.swap, tokens=edits.check_texts),
    "typo": blind(edits.typo, tokens=edits.check_signs),
    "fgsm": one_step(targeted=True),
    "fgsm-untargeted": one_step(targeted=False),
    "pgd": searching(math.inf, targeted=True),
    "pgd-untargeted": searching(math.inf, targeted=False),
    "pgd-l2": searching(2, targeted=True),
    "pgd-l2-untargeted": searching(2, targeted=False),
    "pgd-l1": searching(1, targeted=True),
    "pgd-l1-untargeted": searching(1, targeted=False),
}
