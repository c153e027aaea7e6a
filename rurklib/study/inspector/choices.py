"""The laws by the words of a panel: kind, norm and aim, and how far each makes sense."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rurklib import checks
from rurklib.perturb.perturbations import PERTURBATIONS

KINDS = ("Gaussian", "uniform", "FGSM", "PGD")


NORMS = ("L-inf", "L2", "L1")


AIMS = ("towards y", "away from y")


STEPS = 10  # of PGD, as a measurement takes them


def norms_of(kind: str) -> tuple[str, ...]:
    """The norms that a kind of law is offered in. Gaussian noise has no ball: tau is its sd."""
    checks.one_of("kind", kind, KINDS)
    return {"Gaussian": (), "FGSM": NORMS[:1]}.get(kind, NORMS)


def law_named(kind: str, norm: str = NORMS[0], aim: str = AIMS[0]) -> str:
    """The name in ``PERTURBATIONS`` of a kind, norm and aim; what a kind hasn't is not looked at.

    >>> law_named("PGD", "L2", "away from y")
    'pgd-l2-untargeted'
    """
    norms = norms_of(kind)
    name = kind.lower()
    if norms:
        checks.one_of(f"norm of {kind}", norm, norms)
    if kind == "uniform" or (kind == "PGD" and norm != NORMS[0]):
        name += f"-{norm.lower().replace('-', '')}"
    if kind in ("FGSM", "PGD"):
        checks.one_of("aim", aim, AIMS)
        name += "-untargeted" if aim == AIMS[1] else ""
    return name


def other_aim(law: str, towards: bool) -> str:
    """A gradient law with the aim asked for; a random law has none and stays."""
    plain = law.removesuffix("-untargeted")
    return plain if towards or not PERTURBATIONS[law].gradient_based else f"{plain}-untargeted"


def reach(law: str, taus: Sequence[float], pixels: int) -> float:
    """The largest tau to offer: twice the largest that was studied, as a size of each pixel.

    The L2 norm of a change of that size in each of d numbers is sqrt(d) times it, the L1 norm d
    times: with these, a tau at half of its reach means about the same amount of change in any norm.
    """
    p = PERTURBATIONS[checks.one_of("perturbation", law, PERTURBATIONS)].p
    scale = float(pixels) if p == 1 else math.sqrt(pixels) if p == 2 else 1.0
    return 2 * max(taus) * scale


def rescaled(tau: float, old: str, new: str, taus: Sequence[float], pixels: int) -> float:
    """The tau under another law that is the same share of the law's reach.

    >>> round(rescaled(0.2, "gaussian", "pgd-l2", [0, 0.2], 64), 6)
    1.6
    """
    return tau / reach(old, taus, pixels) * reach(new, taus, pixels)
