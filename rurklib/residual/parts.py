"""The parts of a verdict: five numbers for a curve, a t prediction for each, and one p for all.

Each part stands for the whole curve by one number, and one two-sided prediction
(``uncertainty.p_value``) says whether a further re-trained model could have shown that:

- ``"margin"``: the logit margin, averaged over samples, copies and taus: how far each copy is from
  being (un)recognised, not only on which side. A model that merely multiplies its logits moves it.
- ``"scaled margin"``: the same after each model's margins were divided by their own standard
  deviation over samples, and multiplied by the references' mean one. Deaf to a common factor, and
  less sharp for knowledge of a few samples, which widens that deviation.
- ``"soft hits"``: the log-odds of the mean probability, one from each sample's mean margin,
  averaged over taus. Between margins and hits: what is surely known counts for no more than one.
- ``"hits"``: the log-odds of the accuracy, averaged over taus: the paper's counts, no confidence.
- ``"hits at the first tau"``: the same there alone; at tau = 0, accuracy on the samples. Where
  noise makes re-trained models differ, it can tell what the whole curve can't.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np
from scipy import special

from rurklib.residual import uncertainty
from rurklib.residual.uncertainty import Pair

PARTS = ("margin", "scaled margin", "soft hits", "hits", "hits at the first tau")
OF_MARGINS = PARTS[:3]

# In one part: the model's deviation from its references, each reference's from the others [k], and
# the least standard deviation that is believed of the latter.
PartStatistic = tuple[np.ndarray, np.ndarray, float]


def combined(p: Sequence[float]) -> float:
    """One p for several p that depend on each other: the Cauchy combination, truncated at 1/2.

    The mean of cot(pi p_i) is nearly standard Cauchy far out, for correlated normal statistics too
    (Liu & Xie 2020, doi:10.1080/01621459.2018.1554485), not for any. Terms of p_i > 1/2 are set to
    0 (Fang et al. 2023), so that a part that sees nothing takes nothing away: the outcome is below
    the level whenever one of n p is below level / n. NaN (a part that can't be computed) is left
    out; NaN if all are.

    >>> [round(combined(p), 3) for p in ([0.01, 0.01, 0.01], [0.01, 0.9, 0.9])]
    [0.01, 0.03]
    """
    known = np.array([x for x in p if not math.isnan(x)])
    if not len(known) or known.min() >= 0.5:
        return float(known.min()) if len(known) else math.nan
    with np.errstate(divide="ignore"):
        far = (1 / np.tan(np.pi * np.minimum(known, 0.5))).mean()
    return float(np.arctan2(1.0, far) / np.pi)


def statistics(hits: np.ndarray, margins: np.ndarray, draws: int) -> dict[str, np.ndarray]:
    """Each part's number for every model. Hits and margins [..., tau, sample] -> {part: [...]}."""
    odds = uncertainty.log_odds(hits, draws)
    values = {n: f(margins) for n, f in _of_margins(margins).items()}
    return values | {"hits": odds.mean(-1), PARTS[-1]: odds[..., 0]}


def part_statistics(
    hits: Pair,
    null_hits: Sequence[Pair],
    draws: int,
    margins: Pair,
    null_margins: Sequence[Pair],
) -> dict[str, PartStatistic]:
    """For every part that can be computed, where the model is: see ``PartStatistic``."""
    least = uncertainty.least_spread(hits[1], draws)
    own, below = uncertainty.odds_deviations(hits, null_hits, draws)
    shown: dict[str, PartStatistic] = {}
    for name, f in _of_margins(margins[0], unit_of(margins)).items():
        shown[name] = (*uncertainty.deviations(f, margins, null_margins), 0.0)
    shown["hits"] = own.mean(-1), below.mean(-1), float(least.mean())
    return shown | {PARTS[-1]: (own[0], below[..., 0], float(least[0]))}


def _of_margins(
    margins: np.ndarray, unit: float = 1.0
) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """The parts that can be computed from margins like these [..., tau, sample]."""

    def mean(values: np.ndarray) -> np.ndarray:
        return values.mean((-2, -1))

    parts: dict[str, Callable[[np.ndarray], np.ndarray]] = {"margin": mean}
    if margins.shape[-1] > 1:  # a single sample has no deviation over samples
        parts["scaled margin"] = lambda m: mean(in_sd(m)) * unit
    return parts | {"soft hits": lambda m: uncertainty.log_odds(special.expit(m), 1).mean(-1)}


def in_sd(margins: np.ndarray) -> np.ndarray:
    """Margins in units of their standard deviation over samples, model by model. [..., tau, s]"""
    sd = margins.mean(-2).std(-1, ddof=1)[..., None, None]
    return np.divide(margins, sd, out=np.full(margins.shape, np.nan), where=sd > 0)


def unit_of(margins: Pair) -> float:
    """The references' mean standard deviation of the margin over samples, in logits; NaN if there
    is one sample."""
    others = margins[1].mean(1)
    return float(others.std(-1, ddof=1).mean()) if others.shape[-1] > 1 else math.nan
