"""KLoM and U-LiRA: is a method's models' confidence distributed like re-trained models'?

References: KLoM, Georgiev et al., "Attribute-to-Delete: Machine Unlearning via Datamodel Matching",
ICLR 2025 (arXiv 2410.23232), app. E.1, with the bins and limits of its code (data-unlearning-
bench). U-LiRA, Hayes et al., "Inexact Unlearning Needs More Careful Evaluations to Avoid a False
Sense of Privacy", SaTML 2025 (arXiv 2403.01218); Kurmanji et al., NeurIPS 2023.

Both want hundreds of models; a study has three seeds of a method and six to twelve re-trained
models. :func:`klom_normal` therefore takes normal distributions of one spread, that of re-trained
models, pooled over samples as in LiRA. U-LiRA's shadow models are trained on many random forget
sets in the paper; here the models under attack are the shadows, one of each kind left out at a
time. They are left out in pairs, so that a method that is like re-training gives either kind the
same chance to be called unlearned, however many there are of them.

Confidences are those of :func:`rurklib.metrics.confidence`, float64, of m unlearned models [m, n]
and K re-trained ones [K, n] on the same n samples.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rurklib.metrics.lira import confidences
from rurklib.metrics.registry import metric

BINS, LIMIT, FLOOR = 20, 100.0, 1e-5
MIN_MODELS = 100  # of each kind for KLoM's histograms: five a bin


def klom(unlearned: np.ndarray, retrained: np.ndarray) -> np.ndarray:
    """KL(unlearned || re-trained) of confidences in nats, for each sample, [n].

    Cut off at +-100 and counted in 20 bins over the range of both; a bin without a re-trained model
    counts as 1e-5. NaN with fewer than 100 models of a kind: it is then far from 0 even where both
    are of one kind.
    """
    from scipy.special import rel_entr

    if min(len(unlearned), len(retrained)) < MIN_MODELS:
        return np.full(unlearned.shape[1], np.nan)
    found = []
    for pair in zip(unlearned.clip(-LIMIT, LIMIT).T, retrained.clip(-LIMIT, LIMIT).T, strict=True):
        edges = np.histogram_bin_edges(np.concatenate(pair), BINS)
        p, q = (np.histogram(side, edges)[0] / len(side) for side in pair)
        q = np.where(p > 0, np.maximum(q, FLOOR), q)
        found.append(rel_entr(p, q / q.sum()).sum())
    return np.array(found)


def klom_normal(unlearned: np.ndarray, retrained: np.ndarray) -> np.ndarray:
    """KL of normal distributions of one spread, shift^2 / (2 spread^2), for each sample, [n]; for
    few models, two or more of them re-trained.

    Under the null its mean is about (1 / m + 1 / K) / 2 and not 0: more where samples move
    together.
    """
    shift = unlearned.mean(axis=0) - retrained.mean(axis=0)
    return shift**2 / (2 * retrained.var(axis=0, ddof=1).mean())


@metric(reading=confidences, klom=("", 2))
def klom_column(own: Sequence[np.ndarray], others: Sequence[Sequence[np.ndarray]]) -> float:
    """:func:`klom_normal` of one model, mean over the forget samples; NaN with fewer than two
    re-trained models."""
    if len(others) < 2:
        return math.nan
    return float(klom_normal(own[0][None], np.stack([forget for forget, _ in others])).mean())


class ULiRA(NamedTuple):
    """The attack's accuracy in [0, 1], 0.5 being chance, and the share of samples on which each
    unlearned model [m] is called unlearned, and each re-trained one by the same unlearned shadows
    [m, K]. A model's share is to be placed among those of its row."""

    accuracy: float
    unlearned: np.ndarray
    retrained: np.ndarray


def u_lira(unlearned: np.ndarray, retrained: np.ndarray) -> ULiRA:
    """Attack all models of a method, three or more of each kind, from their confidences.

    A model is called unlearned on a sample where the normal distribution of the unlearned shadows
    is the likelier. NaN with fewer models: two shadows are the least that show a spread.
    """
    called = np.empty((2, len(unlearned), len(retrained)))
    for i, j in np.ndindex(called.shape[1:]):
        attacked = np.stack([unlearned[i], retrained[j]])
        shadows = np.delete(unlearned, i, axis=0), np.delete(retrained, j, axis=0)
        ratio = _log_likelihood(attacked, shadows[0]) - _log_likelihood(attacked, shadows[1])
        called[:, i, j] = (np.sign(ratio).mean(axis=1) + 1) / 2  # a tie counts half
    return ULiRA(float((called[0].mean() + 1 - called[1].mean()) / 2), called[0].mean(1), called[1])


def _log_likelihood(phi: np.ndarray, shadows: np.ndarray) -> np.ndarray:
    """Of phi [..., n] under the normal distributions that shadow models [s, n] show."""
    variance = shadows.var(axis=0, ddof=1).mean()
    return -((phi - shadows.mean(axis=0)) ** 2) / (2 * variance) - np.log(variance) / 2
