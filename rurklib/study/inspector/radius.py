"""Re-recognition radius: how small a perturbation makes a model change its mind about a sample.

A model that doesn't say y about the sample itself *re-recognises* it at the smallest tau at which
it says y about the copy; a model that says y *loses* it at the smallest tau at which it says
another class. Both are called its radius here, and ``before`` tells which it is.

The perturbation and the draw are held while tau grows. A random one draws the same random numbers
at every tau, so the copies lie on one line through the sample (bent where pixels are clipped) and
the radius is that along this direction. A gradient one searches anew at every tau, from the same
starting point scaled, *towards* y for models that don't say it and *away* from y for those that
do, whatever its own aim; all models are shown the copies found on the one model ``found_on``. A
model's own radius is then at most the one found on itself, and no search proves that nothing
nearer exists.

Precisely: tau runs over an even grid of ``points`` from 0 to ``reach``; the first at which the
model differs from what it says at 0 is taken, and the bracket before it halved until it is a
thousandth of the reach. A change there and back between two points of the grid is missed. NaN:
nothing changes within reach.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from rurklib import checks
from rurklib.study.inspector.choices import STEPS, other_aim
from rurklib.study.inspector.view import Inspector

POINTS = 24
HALVINGS = 6  # 24 points halved 6 times: a bracket of reach / 1536


@dataclass(frozen=True)
class FlipRadius:
    """``before`` bool [model]: says y about the sample itself; ``radius`` float [model]: smallest
    tau at which that changes, NaN where it doesn't up to ``reach`` (or not yet: see ``done``)."""

    models: tuple[str, ...]
    references: tuple[str, ...]
    before: np.ndarray
    radius: np.ndarray
    reach: float
    done: int
    total: int

    def of(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """``before`` and ``radius`` of a row: one model's, or all references' for Re-train."""
        wanted = self.references if name == "Re-train" else (name,)
        at = [self.models.index(m) for m in wanted]
        return self.before[at], self.radius[at]


def radii(
    inspector: Inspector,
    sample: int,
    perturbation: str,
    reach: float,
    *,
    draw: int = 0,
    found_on: str = "Original",
    steps: int = STEPS,
    points: int = POINTS,
) -> Iterator[FlipRadius]:
    """The radius of every model, reported after each tau of the grid and each halving."""
    checks.number("reach", reach, 0.0)
    checks.count("points", points)
    names, y, total = tuple(inspector.models), int(inspector.y[sample]), points + HALVINGS

    @cache
    def says(tau: float, aimed: str) -> np.ndarray:
        """Which models say y about the copy at tau, bool [model]."""
        copy = inspector.copies(sample, aimed, tau, [draw], found_on, steps)
        return inspector.logits(copy, names)[:, 0].argmax(-1).cpu().numpy() == y

    before = says(0.0, perturbation)
    aims = [other_aim(perturbation, towards=not says_y) for says_y in before]
    low, high = np.zeros(len(names)), np.full(len(names), np.nan)  # of the bracket
    for k in range(total):
        coarse = k < points
        for m in np.flatnonzero(np.isnan(high) == coarse).tolist():
            tau = reach * (k + 1) / points if coarse else (low[m] + high[m]) / 2
            bracket = low if says(tau, aims[m])[m] == before[m] else high
            bracket[m] = tau
        yield FlipRadius(
            names, inspector.references, before, high.copy(), float(reach), k + 1, total
        )
