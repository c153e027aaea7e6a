"""Numbers from counts: ratios, how sure they are, and what a new re-trained model would show.

Notation: ``own`` [tau, sample] are the hits of the model in question, ``others`` [k, tau, sample]
those of k references, each out of the same number of draws (which cancels in every ratio).

The paper defines r_tau(S_f) as the *mean of per-sample ratios* (Eq. 4), but the numbers in its
figures are *ratios of means* (at tau = 0 they equal one accuracy over another), and it gives no
rule for a zero denominator. Both are reported here. A sample that no reference ever recognises
has an undefined ratio: it is left out of the mean of ratios and counted in ``undefined_share``.
Where no sample has a ratio (a forgotten class), ``difference`` is what remains.

Two questions, two answers:

*How well is the number known?* ``ratio_interval``. The model and the forget samples are fixed;
random are the copies, and the re-training that the references are a sample of. The variance of the
log ratio follows by the delta method: the references' spread / K, and the copies' binomial part.
The first has K - 1 degrees of freedom and the second many, so each keeps its own quantile, weighted
by its variance (Cochran 1964). On shared copies their noise partly cancels, and the interval is a
little too wide.

*Could a re-trained model do that?* ``predict`` and ``p_value``: a t prediction with K - 1 degrees
of freedom says where a new re-trained model would fall. That is wider by sqrt(K + 1) than what is
known about the references' mean: a model can differ from the *average* re-trained model, surely,
and no more than re-trained models do.

Intervals, predictions and p are NaN with fewer than three references: two give no spread.
"""

from functools import lru_cache

import numpy as np
from scipy import special

MIN_REFERENCES = 3

Interval = tuple[np.ndarray, np.ndarray]  # lower and upper limits


# --- estimates ------------------------------------------------------------------------------------


def accuracy(hits: np.ndarray, draws: int) -> np.ndarray:
    """Pr[model(x') = y], averaged over samples and, if given, models. [..., tau, s] -> [tau]."""
    share = hits.mean(axis=-1) / draws
    return share.reshape(-1, share.shape[-1]).mean(axis=0)


def ratio_of_means(own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Mean recognition by the model over mean recognition by the references, [tau].

    NaN where no reference recognises any copy of any sample.
    """
    return divide(own.mean(axis=-1), others.mean(axis=(0, -1)))


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
    return divide(np.where(defined, ratios, 0).sum(axis=-1), defined.sum(axis=-1))


def per_sample(own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """r_tau((x, y)) of every sample against the mean reference, [tau, sample]; NaN: undefined."""
    return divide(own, others.mean(axis=0))


def undefined_share(others: np.ndarray) -> np.ndarray:
    """Share of samples that no reference ever recognises, [tau]."""
    return (others.sum(axis=0) == 0).mean(axis=-1)


def divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a / b, and NaN where b is 0."""
    return np.divide(a, b, out=np.full(np.shape(b), np.nan), where=b != 0)


# --- how well a number is known -------------------------------------------------------------------


def ratio_interval(own: np.ndarray, others: np.ndarray, draws: int) -> Interval:
    """95 % interval for the ratio of means, symmetric on the log scale, two arrays [tau].

    NaN where no reference recognises anything. A model that never recognises y has ratio 0, whose
    log says nothing: 0 ... the ratio that would have shown a hit with probability 97.5 % (rule of
    three).
    """
    p, q, (k, tau, n) = own / draws, others / draws, others.shape
    a, b = p.mean(-1), q.mean((0, -1))
    a_, b_ = np.where(a > 0, a, 1.0), np.where(b > 0, b, 1.0)
    if k < MIN_REFERENCES:
        return np.full(tau, np.nan), np.full(tau, np.nan)
    # Half a sample where accuracies are whole numbers of samples: six that agree to the sample
    # don't make it certain that a seventh would.
    least = np.where(_alike(q), 0.5 / n, 0.0) / b_
    retraining = np.maximum((q / b_[:, None]).mean(-1).var(0, ddof=1), least**2) / k
    noise = (p * (1 - p)).mean(-1) / max(draws - 1, 1) / n / a_**2  # 0 where all copies are alike
    total = retraining + noise
    weighted = special.stdtrit(k - 1, 0.975) * retraining + special.ndtri(0.975) * noise
    half = np.divide(weighted, np.sqrt(total), out=np.zeros(tau), where=total > 0)
    low, high = a / b_ * np.exp(-half), a / b_ * np.exp(half)
    high = np.where(a > 0, high, -np.log(0.025) / (draws * n) / b_)
    return np.where(b > 0, low, np.nan), np.where(b > 0, high, np.nan)


def _alike(found: np.ndarray) -> np.ndarray:
    """Where every sample is always recognised or never: at tau = 0, or without chance. An
    accuracy is then a whole number of samples. [k, tau, sample] -> [tau]"""
    return np.asarray(((found == 0) | (found == 1)).all((0, -1)))


# --- what a new re-trained model would show -------------------------------------------------------


def log_odds(hits: np.ndarray, draws: int) -> np.ndarray:
    """Log-odds of the accuracy, with half a sample added to hits and misses. [..., s] -> [...].

    On this scale re-trained models scatter alike near 0, in the middle and near 1, where an
    accuracy or its log is squeezed against the end.
    """
    n = hits.shape[-1]
    found = (hits / draws).sum(-1)
    return np.log(found + 0.5) - np.log(n - found + 0.5)


def accuracy_of(odds: np.ndarray, n: int) -> np.ndarray:
    """The inverse of :func:`log_odds` for n samples, limited to [0, 1]."""
    return np.clip(((n + 1) / (1 + np.exp(-odds)) - 0.5) / n, 0, 1)


def least_spread(others: np.ndarray, draws: int) -> np.ndarray:
    """Least standard deviation to believe of references' log-odds, [tau].

    Half a sample where references miss (or recognise) fewer than five copies on average, so that
    accuracy is a rare event and not normal, and where all copies of a sample are alike, so that it
    is a whole number of samples. Elsewhere 0.
    """
    n, found = others.shape[-1], others / draws
    q = found.mean((0, -1))
    rare = n * draws * np.minimum(q, 1 - q) < 5
    p = (n * q + 0.5) / (n + 1)
    return np.where(rare | _alike(found), 0.5 / ((n + 1) * p * (1 - p)), 0.0)


def spread(others: np.ndarray, least: np.ndarray | float = 0.0) -> np.ndarray:
    """Standard deviation of a new reference's value about the mean of these [k, ...] -> [...].

    s sqrt(1 + 1 / k), with s at least ``least``. NaN with fewer than three references, and where
    they don't vary: what a new one would show can't be told from them.
    """
    k = len(others)
    if k < MIN_REFERENCES:
        return np.full(others.shape[1:], np.nan)
    s = np.maximum(others.std(0, ddof=1), least)
    s = np.where(s > 1e-9, s, np.nan)  # below a billionth it is rounding, and no spread
    return s * np.sqrt(1 + 1 / k)


def predict(
    others: np.ndarray, least: np.ndarray | float = 0.0, confidence: float = 0.95
) -> Interval:
    """Prediction interval for a new reference's value from [k, ...]: t, k - 1 df. -> two [...]."""
    quantile = special.stdtrit(max(len(others) - 1, 1), 1 - (1 - confidence) / 2)
    half = quantile * spread(others, least)
    return others.mean(0) - half, others.mean(0) + half


def p_value(own: np.ndarray, others: np.ndarray, least: np.ndarray | float = 0.0) -> np.ndarray:
    """Two-sided p of a value, if the model were a new reference, [...] in [0, 1].

    Below 0.05 just where the value is outside :func:`predict`'s 95 % interval.
    """
    t = np.abs(own - others.mean(0)) / spread(others, least)
    return np.asarray(2 * special.stdtr(max(len(others) - 1, 1), -t))


def detectable(others: np.ndarray, least: float, alpha: float, power: float = 0.8) -> np.ndarray:
    """Smallest shift that the two-sided test at level ``alpha`` finds with that power, [...].

    From the power of the t test at the measured spread, so as uncertain as that is.
    """
    sd = spread(others, least)
    return sd * _shift(len(others) - 1, alpha, power) if len(others) >= MIN_REFERENCES else sd


@lru_cache
def _shift(df: int, alpha: float, power: float) -> float:
    """The shift in standard deviations that a t test with ``df`` finds with that power."""
    from scipy import optimize, stats

    # The power is a mean over s / sigma, on a grid: scipy's nct is NaN for some shifts.
    edge = stats.t.ppf(1 - alpha / 2, df)
    edges = edge * np.sqrt(stats.chi2.ppf((np.arange(4000) + 0.5) / 4000, df) / df)

    def missing(shift: float) -> float:
        found = stats.norm.cdf(shift - edges) + stats.norm.cdf(-shift - edges)
        return float(found.mean()) - power

    return optimize.brentq(missing, 0.0, 4 * edge + 10)
