"""Estimates of residual knowledge from counts: pure arithmetic on integers.

Notation: ``own`` [tau, sample] are the hits of the model in question, ``others`` [k, tau, sample]
those of k references, each out of the same number of draws (which cancels in every ratio).

The paper defines r_tau(S_f) as the *mean of per-sample ratios* (Eq. 4), but the numbers in its
figures are *ratios of means* (at tau = 0 they equal one accuracy over another), and it gives no
rule for a zero denominator. Both are reported here. A sample that no reference ever recognises
has an undefined ratio: it is left out of the mean of ratios and counted in ``undefined_share``.
"""

from __future__ import annotations

import numpy as np


def accuracy(hits: np.ndarray, draws: int) -> np.ndarray:
    """Pr[model(x') = y], averaged over samples and, if given, models. [..., tau, s] -> [tau]."""
    share = hits.mean(axis=-1) / draws
    return share.reshape(-1, share.shape[-1]).mean(axis=0)


def ratio_of_means(own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Mean recognition by the model over mean recognition by the references, [tau].

    NaN where no reference recognises any copy of any sample.
    """
    numerator = own.mean(axis=-1)
    denominator = others.mean(axis=(0, -1))
    return _divide(numerator, denominator)


def difference(own: np.ndarray, others: np.ndarray, draws: int) -> np.ndarray:
    """Pr[m(x') = y] - Pr[a(x') = y], averaged over samples and references, [tau] in [-1, 1].

    Always defined. Where a whole class is forgotten it is the only one that is: a re-trained model
    has never heard of the class and never says y, so every ratio would have denominator 0.
    """
    return (own.mean(axis=-1) - others.mean(axis=(0, -1))) / draws


def mean_of_ratios(own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Mean over the samples with a defined ratio of own / mean reference (Eq. 4), [tau].

    NaN where the ratio is undefined for every sample.
    """
    ratios = per_sample(own, others)
    defined = ~np.isnan(ratios)
    return _divide(np.where(defined, ratios, 0).sum(axis=-1), defined.sum(axis=-1))


def per_sample(own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """r_tau((x, y)) of every sample against the mean reference, [tau, sample]; NaN: undefined."""
    return _divide(own, others.mean(axis=0))


def undefined_share(others: np.ndarray) -> np.ndarray:
    """Share of samples that no reference ever recognises, [tau]."""
    return (others.sum(axis=0) == 0).mean(axis=-1)


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.divide(a, b, out=np.full(np.shape(b), np.nan), where=b != 0)
