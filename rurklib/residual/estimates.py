"""Estimates of residual knowledge from counts: pure arithmetic on integers.

Notation: ``own`` [tau, sample] are the hits of the model in question, ``others`` [k, tau, sample]
those of k references, each out of the same number of draws (which cancels in every ratio).

The paper defines r_tau(S_f) as the *mean of per-sample ratios* (Eq. 4), but the numbers in its
figures are *ratios of means* (at tau = 0 they equal one accuracy over another), and it gives no
rule for a zero denominator. Both are reported here. A sample that no reference ever recognises
has an undefined ratio: it is left out of the mean of ratios and counted in ``undefined_share``.
Where no sample has a ratio (a forgotten class), ``difference`` is what remains.
"""

from collections.abc import Sequence

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

    NaN where the ratio is undefined for every sample. It is led by the few samples that references
    hardly ever recognise: other draws give another number, and it is above 1 for a model that is
    one of them. :func:`ratio_of_means` has neither fault.
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


def prevalence(own: np.ndarray, others: np.ndarray, *, undefined_above: bool = False) -> np.ndarray:
    """Share of all samples whose own ratio is above 1, against the mean reference, [tau] in [0, 1].

    Table C.6 is about one pair of models: :func:`prevalence_of_pairs`.

    The paper gives no rule for a zero denominator, but its numbers do: it reports 0 % at tau = 0
    for a model that recognises samples that its reference misses, so x / 0 was *not* counted as
    above 1. That is the default. ``undefined_above=True`` is the other reading: a sample that the
    model recognises at least once and no reference ever does counts as above 1. 0 / 0 never does.
    The denominator of the share is the number of all samples in both.
    """
    reference = others.mean(axis=0)
    above = own > reference
    return (above if undefined_above else above & (reference > 0)).mean(axis=-1)


def prevalence_of_pairs(own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """:func:`prevalence` against one reference at a time, averaged over them, [tau] in [0, 1].

    Table C.6 has one pair m, a: the share of samples with own > the reference's hits, x / 0 not
    counting. A sample that one reference knows better and another doesn't counts half here, where
    the mean reference counts it once or not at all; with one reference the two agree.
    """
    return ((own > others) & (others > 0)).mean(axis=(0, -1))


def quantiles(
    own: np.ndarray, others: np.ndarray, q: Sequence[float] = (0.25, 0.5, 0.75)
) -> np.ndarray:
    """Quantiles over samples of the per-sample ratio, [q, tau]; NaN where none is defined.

    Undefined samples are left out, as in :func:`mean_of_ratios`.
    """
    ratios = per_sample(own, others)
    rows = [r[~np.isnan(r)] for r in ratios]
    return np.stack([np.quantile(r, q) if len(r) else np.full(len(q), np.nan) for r in rows], 1)


def median_ratio(own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Median over samples of the per-sample ratio, [tau]; NaN where none is defined."""
    return quantiles(own, others, (0.5,))[0]


def disagreement_bounds(
    own: np.ndarray, others: np.ndarray, draws: int
) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper bound of the adversarial disagreement E[k_tau], each [tau, sample].

    Lemma A.4 (Eq. 5): r p (1 - p) <= Pr[m(x') != a(x')] <= 1 - r p^2 with p = Pr[a(x') = y]. As
    r p = Pr[m(x') = y] is known even where r is not, no sample is left out. With several
    references a is one of them at random: the bounds are linear in p, so the mean p serves.

    The lemma needs m(x') and a(x') independent over x', that is, copies of its own for each model.
    On shared copies, as r is measured, it fails: m = a never disagrees with itself, yet the lower
    bound is p (1 - p) > 0. Nor does r -> 1 send E[k] to 0, unless p -> 1 as well.
    """
    q, p = own / draws, others.mean(axis=0) / draws
    return q * (1 - p), 1 - q * p


def disagreement(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """E[k_tau] = Pr[m(x') != a(x'')] for independent copies, from class histograms, [...].

    ``own`` and ``other`` [..., class]: how often each class was the answer, e.g. [tau, sample,
    class]. Unbiased if the two were counted on different copies (two seeds); on shared copies it
    estimates the same independent-draws quantity with a bias of at most 1 / draws, *not* how often
    the two disagree on one copy, which no marginal count tells. With two classes the hits are a
    histogram: ``np.stack([hits, draws - hits], -1)``; with more, hits give only the bounds.
    """
    together = (own * other).sum(axis=-1)
    return 1 - together / (own.sum(axis=-1) * other.sum(axis=-1))


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.divide(a, b, out=np.full(np.shape(b), np.nan), where=b != 0)
