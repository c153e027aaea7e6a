"""Perturbed copies of a sample: pure functions ``(model, x, y, tau, ...) -> x'``.

Pixels live in [0, 1] and tau is in those units; where a text is edited, tau is the rate. Every x'
lies inside the bounds, and its ball if there is one; tau = 0 returns x; the model and the global
random state are left as found.

``PERTURBATIONS`` names the ways in which residual knowledge draws neighbours. All have one
signature, ``.sample(model, x, y, tau, generator, bounds)``: a random one ignores model and y; a
gradient-based one is targeted at y, i.e. looks for neighbours that are still recognised, unless its
name ends in ``-untargeted``. To add one, put a file here that adds its name: every module of this
folder is imported.
"""

from importlib import import_module
from pkgutil import iter_modules

from rurklib.perturb.edits import delete, swap, typo
from rurklib.perturb.perturbations import (
    PERTURBATIONS,
    Perturbation,
    fgsm,
    gaussian,
    matched_radius,
    pgd,
    sphere,
    uniform,
)

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = [
    "PERTURBATIONS", "Perturbation", "delete", "fgsm", "gaussian", "matched_radius", "pgd",
    "sphere", "swap", "typo", "uniform",
]  # fmt: skip
