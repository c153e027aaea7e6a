"""KLoM and U-LiRA: is a method's models' confidence distributed like re-trained models'?

References: KLoM, Georgiev et al., "Attribute-to-Delete: Machine Unlearning via Datamodel Matching",
ICLR 2025 (arXiv 2410.23232), app. E.1, with the bins and limits of its code (data-unlearning-
bench). U-LiRA, Hayes et al., "Inexact Unlearning Needs More Careful Evaluations to Avoid a False
Sense of Privacy", SaTML 2025 (arXiv 2403.01218); Kurmanji et al., NeurIPS 2023.

Notes on this implementation: both want hundreds of models; a study has three seeds of a method and
six to twelve re-trained models. :func:`klom_normal` therefore takes normal distributions of one
spread, which re-trained models show, pooled over samples as in LiRA; that unlearned models may be
spread otherwise isn't seen. U-LiRA's shadow models are trained on many random forget sets in the
paper; here the models under attack are the shadows, one of each kind left out at a time. Left out
in pairs, for then a method that is like re-training gives either kind the same chance to be called
unlearned, however many there are of them.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import rel_entr
from torch import nn

from rurklib import checks
from rurklib.metrics.lira import confidence
from rurklib.metrics.registry import metric
from rurklib.tensors import Pair

BINS, LIMIT, FLOOR = 20, 100.0, 1e-5
MIN_MODELS = 100  # of each kind for KLoM's histograms: five a bin
MIN_SHADOWS = 3  # of each kind for U-LiRA: two are left to show a spread


def klom(unlearned: np.ndarray, retrained: np.ndarray, *, bins: int = BINS) -> np.ndarray:
    """KL(unlearned || re-trained) of margins in nats, for each sample, [n].

    Margins (:func:`rurklib.metrics.confidence`) of m unlearned models [m, n] and K re-trained ones
    [K, n], cut off at +-100 and counted in ``bins`` over the range of both; a bin without a
    re-trained model counts as 1e-5. NaN with fewer than 100 models on a side, for then it is far
    from 0 where all are of one kind. Raises InputError for other shapes or a NaN.
    """
    own, others = _matching(unlearned, retrained)
    if min(len(own), len(others)) < MIN_MODELS:
        return np.full(own.shape[1], np.nan)
    found = []
    for pair in zip(np.clip(own, -LIMIT, LIMIT).T, np.clip(others, -LIMIT, LIMIT).T, strict=True):
        edges = np.histogram_bin_edges(np.concatenate(pair), bins)
        p, q = (np.histogram(side, edges)[0] / len(side) for side in pair)
        q = np.where(p > 0, np.maximum(q, FLOOR), q)
        found.append(rel_entr(p, q / q.sum()).sum())
    return np.array(found)


def klom_normal(unlearned: np.ndarray, retrained: np.ndarray) -> np.ndarray:
    """KL of normal distributions of one spread, shift^2 / (2 spread^2), for each sample, [n]; for
    few models.

    Margins as :func:`klom` takes them, m >= 1. NaN with fewer than two re-trained models, or if
    these don't differ. Under the null its mean is about (1 / m + 1 / K) / 2 and not 0: more where
    samples move together.
    """
    own, others = _matching(unlearned, retrained)
    spread = others.var(axis=0, ddof=1).mean() if len(others) > 1 else 0.0
    shift = own.mean(axis=0) - others.mean(axis=0)
    return shift**2 / (2 * spread) if spread > 0 else np.full(len(shift), np.nan)


def forget_margins(model: nn.Module, forget: Pair) -> np.ndarray:
    """Of the forget samples, [n] in logits."""
    return confidence(model, *forget).numpy()


@metric(reading=forget_margins, klom=("", 2))
def klom_column(own: np.ndarray, others: Sequence[np.ndarray]) -> float:
    """:func:`klom_normal` of one model, mean over the forget samples; NaN with fewer than two
    re-trained models."""
    return float(klom_normal(own[None], np.stack(others)).mean()) if others else math.nan


class ULiRA(NamedTuple):
    """The attack's accuracy in [0, 1], 0.5 being chance, and the share of samples on which each
    unlearned model [m] is called unlearned, and each re-trained one by the same unlearned shadows
    [m, K]. A model's share is to be placed among those of its row."""

    accuracy: float
    unlearned: np.ndarray
    retrained: np.ndarray


def u_lira(unlearned: np.ndarray, retrained: np.ndarray) -> ULiRA:
    """Attack all models of a method from confidences (:func:`rurklib.metrics.confidence`) alone.

    Those of m unlearned models on the forget samples [m, n] and of K re-trained ones [K, n]. A
    model is called unlearned on a sample where the normal distribution of the unlearned shadows is
    the likelier. NaN with fewer than three on a side. Raises InputError for other shapes or a NaN.
    """
    own, others = _matching(unlearned, retrained)
    m, k = len(own), len(others)
    if min(m, k) < MIN_SHADOWS:
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


def _matching(unlearned: np.ndarray, retrained: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of unlearned models [m, n] and re-trained ones [K, n] as float64."""
    own, others = (np.asarray(side, np.float64) for side in (unlearned, retrained))
    if own.ndim != 2 or own.shape[1:] != others.shape[1:] or not own.size or not others.size:
        raise checks.InputError(
            f"unlearned {own.shape}, retrained {others.shape}: expected [models, samples] of the "
            "same samples"
        )
    if not (np.isfinite(own).all() and np.isfinite(others).all()):
        raise checks.InputError("confidences hold NaN or infinity: leave such a model out")
    return own, others
