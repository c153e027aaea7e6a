"""KLoM and U-LiRA: is a method's models' confidence distributed like re-trained models'?

References: KLoM, Georgiev et al., "Attribute-to-Delete: Machine Unlearning via Datamodel Matching",
ICLR 2025 (arXiv 2410.23232), app. E.1. U-LiRA, Hayes et al., "Inexact Unlearning Needs More Careful
Evaluations to Avoid a False Sense of Privacy", SaTML 2025 (arXiv 2403.01218).

Both want hundreds of models; a study has three seeds of a method and six to twelve re-trained
models. :func:`klom` therefore takes normal distributions of one spread, that of re-trained models,
pooled over samples as in LiRA, and no histograms. The shadow models of :func:`u_lira` are the
models under attack, one of each kind left out at a time: in pairs, so that a method that is like
re-training gives either kind the same chance to be called unlearned.

Confidences are those of :func:`rurklib.metrics.confidence`, float64, of m unlearned models [m, n]
and K re-trained ones [K, n] on the same n samples.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rurklib.metrics.lira import confidences
from rurklib.metrics.registry import metric


def klom(unlearned: np.ndarray, retrained: np.ndarray) -> np.ndarray:
    """KL of normal distributions of one spread in nats, shift^2 / (2 spread^2), for each sample,
    [n]; of two or more re-trained models.

    Under the null its mean is about (1 / m + 1 / K) / 2 and not 0: more where samples move
    together.
    """
    shift = unlearned.mean(axis=0) - retrained.mean(axis=0)
    return shift**2 / (2 * retrained.var(axis=0, ddof=1).mean())


@metric(reading=confidences, klom=("", 2))
def klom_column(own: Sequence[np.ndarray], others: Sequence[Sequence[np.ndarray]]) -> float:
    """:func:`klom` of one model, mean over the forget samples; NaN with fewer than two
    re-trained models."""
    if len(others) < 2:
        return math.nan
    return float(klom(own[0][None], np.stack([forget for forget, _ in others])).mean())


class ULiRA(NamedTuple):
    """The attack's accuracy in [0, 1], 0.5 being chance, and the share of samples on which each
    unlearned model [m] is called unlearned, and each re-trained one beside it [m, K]."""

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
