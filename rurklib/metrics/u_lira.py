"""U-LiRA: can an attacker who re-trains and unlearns tell an unlearned model from a re-trained one?

Reference: Hayes et al., "Inexact Unlearning Needs More Careful Evaluations to Avoid a False Sense
of Privacy", SaTML 2025 (arXiv 2403.01218); Kurmanji et al., "Towards Unbounded Machine Unlearning",
NeurIPS 2023. Both build on Carlini et al. (:mod:`rurklib.metrics.lira`).

Algorithm, for each sample:
    1. phi, the logit-scaled confidence, of shadow models that were trained on the sample and then
       unlearned it, and of shadow models that never saw it
    2. a normal distribution for either kind
    3. a model under attack is called unlearned if its phi is likelier under the first

Accuracy 0.5 is chance. As :func:`rurklib.metrics.lira.lira` does, it asks about each sample; but it
finds any difference that all seeds of a method share, and takes no side.

Notes on this implementation, all departures: the paper trains shadow models on many random forget
sets; a study has one, and three seeds of a method. So the models under attack are the shadows, one
of each kind left out at a time, and a spread is pooled over samples. Left out in pairs, for then a
method that is like re-training gives either kind the same chance to be called unlearned, however
many there are of them.
"""

from typing import NamedTuple

import numpy as np

from rurklib import checks
from rurklib.metrics.klom import matching

MIN_MODELS = 3  # of each kind: two are left to show a spread


class ULiRA(NamedTuple):
    """The attack's accuracy in [0, 1], and the share of samples on which each unlearned model [m]
    is called unlearned, and each re-trained one by the same unlearned shadows [m, K]. A model's
    share is to be placed among those of its row: their means over rows vary less than it does."""

    accuracy: float
    unlearned: np.ndarray
    retrained: np.ndarray


def u_lira(unlearned: np.ndarray, retrained: np.ndarray) -> ULiRA:
    """Attack all models of a method from confidences (:func:`rurklib.metrics.confidence`) alone.

    Those of m unlearned models on the forget samples [m, n] and of K re-trained ones [K, n]. NaN
    with fewer than three on a side. Raises InputError if shapes don't match, a value isn't finite,
    or the models of a side don't differ.
    """
    own, others = matching(unlearned, retrained)
    m, k = len(own), len(others)
    if min(m, k) < MIN_MODELS:
        return ULiRA(np.nan, np.full(m, np.nan), np.full((m, k), np.nan))
    called = np.empty((2, m, k))
    for i in range(m):
        for j in range(k):
            shadows = np.delete(own, i, axis=0), np.delete(others, j, axis=0)
            attacked = np.stack([own[i], others[j]])
            ratio = _log_likelihood(attacked, shadows[0]) - _log_likelihood(attacked, shadows[1])
            called[:, i, j] = (np.sign(ratio).mean(axis=1) + 1) / 2  # a tie counts half
    return ULiRA(float((called[0].mean() + 1 - called[1].mean()) / 2), called[0].mean(1), called[1])


def _log_likelihood(phi: np.ndarray, shadows: np.ndarray) -> np.ndarray:
    """Of phi [..., n] under the normal distributions that shadow models [s, n] show."""
    variance = shadows.var(axis=0, ddof=1).mean()
    if variance == 0:
        raise checks.InputError("shadow models don't differ: are they one model, loaded twice?")
    return -((phi - shadows.mean(axis=0)) ** 2) / (2 * variance) - np.log(variance) / 2
