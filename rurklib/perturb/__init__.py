"""Perturbed copies of a sample: pure functions ``(model, x, y, tau, ...) -> x'``.

Pixels live in [0, 1] and tau is in those units; where a text is edited, tau is the rate. Every x'
lies inside its ball and inside the bounds; tau = 0 returns x; the model and the global random state
are left as found.

``PERTURBATIONS`` names the laws by which residual knowledge draws neighbours. All have one
signature, ``law.sample(model, x, y, tau, generator, bounds)``: a random law ignores model and y; a
gradient law is targeted at y, i.e. looks for neighbours that are still recognised, unless its name
ends in ``-untargeted``. To add one, write the function and its line here.
"""

from rurklib.perturb.edits import delete, swap, typo
from rurklib.perturb.gradient import fgsm, pgd, start
from rurklib.perturb.noise import gaussian, matched_radius, sphere, uniform
from rurklib.perturb.perturbations import (
    PERTURBATIONS,
    Perturbation,
    Sample,
    Search,
    Start,
    noise,
    search,
    step,
)

__all__ = [
    "PERTURBATIONS",
    "Perturbation",
    "Sample",
    "Search",
    "Start",
    "delete",
    "fgsm",
    "gaussian",
    "matched_radius",
    "noise",
    "pgd",
    "search",
    "sphere",
    "start",
    "step",
    "swap",
    "typo",
    "uniform",
]
