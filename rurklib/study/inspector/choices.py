"""Perturbations by the words of a panel: kind, norm and aim, and how far each makes sense."""

import math
from collections.abc import Sequence

from rurklib import checks
from rurklib.perturb.perturbations import PERTURBATIONS

TITLE = "Perturbation inspector"
NORMS, AIMS = ("L-inf", "L2", "L1"), ("towards y", "away from y")
# Each kind with the norms that it is offered in. Gaussian noise has no ball: tau is its sd.
KINDS = {"Gaussian": (), "uniform": NORMS, "FGSM": NORMS[:1], "PGD": NORMS}
STEPS = 10  # of PGD, as a measurement takes them


def perturbation_named(kind: str, norm: str = NORMS[0], aim: str = AIMS[0]) -> str:
    """The name in ``PERTURBATIONS`` of a kind, norm and aim; what a kind hasn't is not looked at.

    >>> perturbation_named("PGD", "L2", "away from y")
    'pgd-l2-untargeted'
    """
    parts = [kind.lower()]
    if kind == "uniform" or (kind == "PGD" and norm != NORMS[0]):
        parts.append(norm.lower().replace("-", ""))
    if kind in ("FGSM", "PGD") and aim == AIMS[1]:
        parts.append("untargeted")
    return "-".join(parts)


def reach(perturbation: str, taus: Sequence[float], pixels: int) -> float:
    """The largest tau to offer: twice the largest that was studied, as a size of each pixel.

    The L2 norm of a change of that size in each of d numbers is sqrt(d) times it, the L1 norm d
    times: with these, a tau at half of its reach means about the same amount of change in any norm.
    """
    p = PERTURBATIONS[checks.one_of("perturbation", perturbation, PERTURBATIONS)].p
    return 2 * max(taus) * (pixels if p == 1 else math.sqrt(pixels) if p == 2 else 1.0)
