"""Epsilon at delta: how unlike re-trained models' outputs are those of unlearned ones, at worst?

Reference: Triantafillou et al., "Are We Making Progress in Unlearning? Findings from the First
NeurIPS Unlearning Competition", arXiv 2406.09073, 2024; the bound from an attack's errors is that
of Kairouz et al., "The Composition Theorem for Differential Privacy", ICML 2015.

Algorithm, for each sample:
    1. attacks: a model is called unlearned if its confidence is above a threshold (or below), for
       every threshold; FPR over the re-trained models, FNR over the unlearned ones
    2. epsilon = max(log((1 - delta - FPR) / FNR), log((1 - delta - FNR) / FPR)), at least 0
    3. the largest over all attacks; where one rate is 0 and not the other, the attack is dropped,
       for among few models that makes epsilon infinite by chance

0: nobody can tell. A method is (epsilon, delta)-unlearning only if *no* attack finds more, so this
is a lower bound on the true one.

Notes on this implementation: each epsilon has an interval, from the limits of Clopper and Pearson
for both rates, and the attack with the largest lower limit counts. It is chosen on the models that
it is tried on, so look at what re-trained models get. The competition runs further attacks, and
maps epsilons to points. Three unlearned models and twelve re-trained ones that don't overlap at all
have a lower limit of 0.10, the competition's 512 and 512 have 4.93 (tests/metrics/test_epsilon.py).
A study's column is therefore a departure: one epsilon for a model, of all forget samples pooled
after the re-trained mean of each was taken off, and brought to one spread (:func:`pooled`). The
limits then take samples as independent, and they share their models.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import betaincinv

from rurklib import checks
from rurklib.metrics.klom import forget_margins, matching
from rurklib.metrics.registry import metric

DELTA = 1e-5


class Epsilon(NamedTuple):
    """Of each sample [n], with its limits; all in [0, inf]."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def epsilon(
    unlearned: np.ndarray, retrained: np.ndarray, *, delta: float = DELTA, level: float = 0.95
) -> Epsilon:
    """Epsilon at ``delta`` of the best threshold, for each sample.

    Confidences (:func:`rurklib.metrics.confidence`) of m unlearned models [m, n] and of K
    re-trained ones [K, n]. Raises InputError if shapes don't match or a value isn't finite.
    """
    own, others = matching(unlearned, retrained)
    checks.number("delta", delta, 0.0, 1.0)
    checks.number("level", level, 0.0, 1.0)
    (m, n), k = own.shape, len(others)
    found = np.empty((3, n))
    for i in range(n):
        thresholds = np.concatenate([own[:, i], others[:, i]])
        missed = np.searchsorted(np.sort(own[:, i]), thresholds)  # below the threshold
        alarms = k - np.searchsorted(np.sort(others[:, i]), thresholds)
        fn, fp = np.concatenate([[missed, alarms], [m - missed, k - alarms]], axis=1)
        low, high = (
            bound(rate_limit(fp, k, tail), rate_limit(fn, m, tail), delta)
            for tail in ((1 + level) / 2, (1 - level) / 2)
        )
        value, kept = bound(fp / k, fn / m, delta), (fp > 0) == (fn > 0)
        best = np.lexsort([value, low, kept])[-1]
        found[:, i] = value[best], low[best], high[best]
    return Epsilon(*found)


def bound(fpr: np.ndarray, fnr: np.ndarray, delta: float) -> np.ndarray:
    """The epsilon that an attack with these errors shows, at least 0; inf if an error is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        one, other = (
            np.log(np.maximum(1 - delta - a, 0)) - np.log(b) for a, b in ((fpr, fnr), (fnr, fpr))
        )
    return np.fmax(np.fmax(one, other), 0.0)  # 0 / 0 is NaN: whoever calls all alike knows nothing


def rate_limit(count: np.ndarray, n: int, tail: float) -> np.ndarray:
    """Clopper and Pearson's limit for a rate: upper for a ``tail`` above 0.5, else lower."""
    if tail > 0.5:
        return np.where(count < n, betaincinv(count + 1, np.maximum(n - count, 1), tail), 1.0)
    return np.where(count > 0, betaincinv(np.maximum(count, 1), n - count + 1, tail), 0.0)


def pooled(unlearned: np.ndarray, retrained: np.ndarray, *, delta: float = DELTA) -> Epsilon:
    """One epsilon of one model [n] beside K >= 2 re-trained ones [K, n], each less the mean of all
    re-trained ones and brought to the spread of a single model: arrays of one number.

    What a model is off a mean that it isn't in varies by 1 + 1/K, one that is in it by 1 - 1/K, and
    an attack would tell the two by that alone; beside the mean of the *others* it would too, by
    1 + 1/K and 1 + 1/(K - 1): one more re-trained model would have 0.5 with two, 0.1 with three.
    """
    own, others = matching(np.asarray(unlearned)[None], retrained)
    k, mean = len(others), others.mean(axis=0)
    own, others = (own - mean) * (k / (k + 1)) ** 0.5, (others - mean) * (k / (k - 1)) ** 0.5
    return epsilon(own.reshape(-1, 1), others.reshape(-1, 1), delta=delta)


@metric(reading=forget_margins, epsilon_low=("", 2))
def epsilon_column(own: np.ndarray, others: Sequence[np.ndarray]) -> float:
    """The lower limit of :func:`pooled`; NaN with fewer than two re-trained models."""
    return float(pooled(own, np.stack(others)).low[0]) if len(others) > 1 else np.nan
