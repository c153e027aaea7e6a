"""Are the references what they should be? Distinct, alike, and better than chance.

A verdict believes that the references are what the model would have been. Four ways in which they
aren't can be read off their own answers, before anybody looks at the model:

- *Copies of each other* make a spread of nothing, and certainty out of it. References that answer
  alike on every copy are one reference (:func:`copies`), and counted once.
- *One that saw the forget samples* hides that the model did. It stands out above the others
  (:func:`outstanding`).
- *A broken set-up* (labels in another order, pixels divided by 255 twice) leaves them at or below
  chance on everything (:func:`at_chance`), where no ratio means anything.
- *Right on other shares of the forget than of held-out samples* (:func:`unlike`), though they saw
  neither: one did, or the two are of different kinds and the held-out ones no control.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import special

from rurklib.residual import uncertainty
from rurklib.residual.verdict import PARTS, combined, statistics

SAME = 1e-3  # answers that differ by less, in units of how they vary, are the same answers
LEVEL = 0.03  # nominal: one is flagged in 3.7 % of sets of good references (README.md)
OF_SHARES = 0.01  # the same for shares of forget and held-out samples, for all of them together


def copies(values: np.ndarray, models: int = 0) -> dict[int, int]:
    """Which of the models answer like an earlier one: {place: place of that one}.

    ``values`` [model, tau, sample]: margins. Two are the same if their root mean square difference
    is below a thousandth of their standard deviation over taus and samples: models of other seeds
    differ by some percent and more, copies by rounding. The first ``models`` are no references: two
    of those may be one.
    """
    flat = np.asarray(values, np.float64).reshape(len(values), -1)
    scale = SAME * np.maximum(flat.std(1), SAME * np.abs(flat).max(1))
    middle, found = flat.mean(1), dict[int, int]()
    for i in range(models, len(flat)):
        near = np.flatnonzero(np.abs(middle[:i] - middle[i]) <= scale[:i])  # few: the rest is slow
        same = (np.sqrt(((flat[near] - flat[i]) ** 2).mean(1)) <= scale[near]).nonzero()[0]
        if first := [int(j) for j in near[same] if j not in found]:
            found[i] = first[0]
    return found


def outstanding(hits: np.ndarray, margins: np.ndarray, draws: int) -> tuple[int, float] | None:
    """The place of the reference that knows more than the others could, and its p; or None.

    ``hits`` and ``margins`` [reference, tau, sample], each on the copies that were made for it.
    Each is held against the rest by the rule of the verdict, one-sided (upwards, since that is what
    hides residual knowledge) and at ``LEVEL`` for all of them together. Needs four.
    """
    k = len(hits)
    if k <= uncertainty.MIN_REFERENCES:
        return None
    least = uncertainty.least_spread(hits, draws)
    values = statistics(hits, margins, draws)
    floors = {"hits": float(least.mean()), PARTS[-1]: float(least[0])}
    ps = []
    for i in range(k):
        part = []
        for name, value in values.items():
            others = np.delete(value, i)
            below = (others - others.mean()) * (k - 1) / (k - 2)
            _, sd = uncertainty.spread(below, floors.get(name, 0.0))
            part.append(float(special.stdtr(k - 2, (others.mean() - value[i]) / sd)))
        ps.append(combined(part))
    worst = int(np.nanargmin(ps)) if np.isfinite(ps).any() else 0
    return (worst, ps[worst]) if ps[worst] * k < LEVEL else None


def at_chance(hits: np.ndarray, draws: int, classes: int) -> bool:
    """Whether references [k, tau, sample] are right no more often than by guessing, at the first
    tau: in one of ``classes`` cases or fewer, on average."""
    return bool((hits / draws)[:, 0].mean() <= 1 / classes)


def unlike(right: Mapping[Any, tuple[int, int]], of: tuple[int, int]) -> dict[Any, float]:
    """The references that are right on another share of the forget than of the held-out samples of
    the same classes, and p: Fisher's exact test, at ``OF_SHARES`` for all of them together.

    ``right``: on how many forget and held-out samples each is right; ``of``: how many there are.
    """
    from scipy import stats

    ps = {
        name: float(stats.fisher_exact([[a, of[0] - a], [b, of[1] - b]]).pvalue)
        for name, (a, b) in right.items()
    }
    return {name: p for name, p in ps.items() if p < OF_SHARES / len(ps)}
