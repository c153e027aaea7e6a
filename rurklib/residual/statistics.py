"""Numbers from counts: ratios, how sure they are, and what a new re-trained model would show.

Notation: ``own`` [tau, sample] are the hits of the model in question, ``others`` [k, tau, sample]
those of k references, each out of the same number of draws (which cancels in every ratio).

The paper defines r_tau(S_f) as the *mean of per-sample ratios* (Eq. 4), but the numbers in its
figures are *ratios of means* (at tau = 0 they equal one accuracy over another), and it gives no
rule for a zero denominator. Both are reported here. A sample that no reference ever recognises
has an undefined ratio: it is left out of the mean of ratios and counted in ``undefined_share``.
Where no sample has a ratio (a forgotten class), ``difference`` is what remains.

Two questions, two answers:

*How well is the number known?* ``ratio_interval`` and ``difference_interval``. m is one realised
model and stays fixed; several seeds of a method are several models, each with its interval. Random
are the copies, and the re-training that the references are a sample of. The forget samples are
fixed: they are those whose forgetting was asked for.

Variances of the log ratio (or the difference) by the delta method: the references' spread / K, and
the copies' binomial part. The two know their variance to different degrees, K - 1 degrees of
freedom against many, so each keeps its own quantile, weighted by its variance (Cochran 1964).
Satterthwaite's one quantile for both covered 91-94 % at K = 3. The copies' part is taken as if
every model had copies of its own; on shared copies their noise partly cancels, and the interval is
a little too wide.

*Could a re-trained model do that?* ``predict`` and ``p_value``: each reference is held out against
the others, and a t prediction with K - 1 degrees of freedom says where a further one would fall.
That is wider by sqrt(K + 1) than what is known about the references' mean: a model can differ from
the *average* re-trained model, surely, and no more than re-trained models do.

Everything here is NaN with fewer than three references: two give one difference, and no idea of it.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from scipy import special

MIN_REFERENCES = 3

Pair = tuple[np.ndarray, np.ndarray]  # one model's values [tau, s], its references' [k, tau, s]
Interval = tuple[np.ndarray, np.ndarray]  # lower and upper limits
SIDES = ("above", "inside", "below")


# --- estimates ------------------------------------------------------------------------------------


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


def _divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.divide(a, b, out=np.full(np.shape(b), np.nan), where=b != 0)


# --- how sure -------------------------------------------------------------------------------------


def ratio_interval(
    own: np.ndarray, others: np.ndarray, draws: int, level: float = 0.95
) -> Interval:
    """Interval for the ratio of means, symmetric on the log scale, two arrays [tau].

    Hits own [tau, sample], others [k, tau, sample]. NaN where no reference recognises anything. A
    model that never recognises y has ratio 0, whose log says nothing: 0 ... the ratio that would
    have shown a hit with probability ``1 - (1 - level) / 2`` (rule of three).
    """
    p, q = own / draws, others / draws
    a, b = p.mean(-1), q.mean((0, -1))
    some = b > 0
    a_, b_ = np.where(a > 0, a, 1.0), np.where(some, b, 1.0)
    noise = _copies(p, draws) / a_**2
    half = _half(q / b_[:, None], noise, _least(q) / b_, level)
    low, high = a / b_ * np.exp(-half), a / b_ * np.exp(half)
    unseen = -np.log((1 - level) / 2) / (draws * own.shape[-1])
    high = np.where(a > 0, high, unseen / b_ + 0 * half)
    return np.where(some, low, np.nan), np.where(some, high, np.nan)


def difference_interval(
    own: np.ndarray, others: np.ndarray, draws: int = 1, level: float = 0.95
) -> Interval:
    """Interval for the difference of means, two arrays [tau]; also where ratios are undefined.

    Of hits out of ``draws``, in accuracy; with ``draws=1`` of any values (margins), whose noise
    from the copies is then left to the references' spread.
    """
    a, b = own / draws, others / draws
    half = _half(b, _copies(a, draws), _least(b), level)
    middle = a.mean(-1) - b.mean((0, -1))
    return middle - half, middle + half


def _copies(p: np.ndarray, draws: int) -> np.ndarray:
    """Variance of a model's accuracy over its copies, unbiased, [tau]; 0 where all are alike."""
    more = max(draws - 1, 1)
    return (p * (1 - p)).mean(-1) / more / p.shape[-1] if draws > 1 else np.zeros(len(p))


def _alike(found: np.ndarray) -> np.ndarray:
    """Where every sample is always recognised or never: at tau = 0, or without chance. An
    accuracy is then a whole number of samples."""
    return np.asarray(((found == 0) | (found == 1)).all((0, -1)))


def _least(found: np.ndarray) -> np.ndarray:
    """Least standard deviation to believe of models' accuracies [k, tau, sample], [tau]: half a
    sample where accuracies are whole numbers of samples. Six that agree to the sample don't make it
    certain that a seventh would, nor samples that are all right that others are. Elsewhere 0, as
    for margins."""
    return np.where(_alike(found), 0.5 / found.shape[-1], 0.0)


def _half(others: np.ndarray, noise: np.ndarray, least: np.ndarray, level: float) -> np.ndarray:
    """Half the width of an interval for a mean less the references', [tau], from the variance that
    the copies give it and the least standard deviation of references."""
    (k, tau, _), tail = others.shape, 1 - (1 - level) / 2
    if k < MIN_REFERENCES:
        return np.full(tau, np.nan)
    retraining = np.maximum(others.mean(-1).var(0, ddof=1), least**2) / k
    total = retraining + noise
    weighted = special.stdtrit(k - 1, tail) * retraining + special.ndtri(tail) * noise
    return np.divide(weighted, np.sqrt(total), out=np.zeros(tau), where=total > 0)


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

    Where a reference misses (or recognises) fewer than five copies on average, accuracy is a rare
    event and not normal; where all copies of a sample are alike, it is a whole number of samples:
    six that agree don't make it certain that a seventh would. Half a sample is then taken for
    their spread, if it is not larger. Elsewhere 0.
    """
    n, found = others.shape[-1], others / draws
    q = found.mean((0, -1))
    rare = n * draws * np.minimum(q, 1 - q) < 5
    p = (n * q + 0.5) / (n + 1)
    return np.where(rare | _alike(found), 0.5 / ((n + 1) * p * (1 - p)), 0.0)


def odds_deviations(pair: Pair, null: Sequence[Pair], draws: int) -> tuple[np.ndarray, np.ndarray]:
    """:func:`deviations` of the log-odds per tau, [tau] and [k, tau].

    What a further reference would gain on copies of its own (found on itself) can't take it
    beyond "always right": where the references' mean gain would, it is taken to end there.
    """
    own, below = deviations(lambda h: log_odds(h, draws), pair, null)
    if not len(below):
        return own, below
    middle, most = log_odds(pair[1], draws).mean(0), np.log(2 * pair[1].shape[-1] + 1)
    centre = below.mean(0)
    return own, below - centre + (np.clip(middle + centre, -most, most) - middle)


class LeftOut(Sequence[Pair]):
    """``pair(i)`` for i in 0 ... k - 1: each reference against the rest, made when it is asked for,
    since all of them together hold every value k times."""

    def __init__(self, k: int, pair: Callable[[int], Pair]) -> None:
        self.k, self.pair = k, pair

    def __len__(self) -> int:
        return self.k

    def __getitem__(self, i: Any) -> Any:
        return self.pair(range(self.k)[i])


def left_out(others: np.ndarray) -> LeftOut:
    """Each reference against the rest, for counts on shared copies. [k, tau, s] -> k pairs."""
    return LeftOut(len(others), lambda k: (others[k], np.delete(others, k, 0)))


def deviations(
    statistic: Callable[[np.ndarray], np.ndarray], pair: Pair, null: Sequence[Pair]
) -> tuple[np.ndarray, np.ndarray]:
    """Statistic of a model less its references' mean; and the same of each reference held out.

    ``null`` as from :func:`left_out`; where copies are found on models, each pair
    is on those found on the first of the two. Returns [...] and [k, ...].
    """
    below = [statistic(a) - statistic(b).mean(0) for a, b in chain([pair], null) if len(b)]
    rest = np.stack(below[1:]) if below[1:] else np.empty((0, *below[0].shape))
    return below[0], rest


def spread(below: np.ndarray, least: np.ndarray | float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of what a further reference would deviate by, each [...].

    ``below`` [k, ...] are the references' deviations, each from the mean of the other k - 1. On
    shared copies they are k / (k - 1) times those from the mean of all, so this is the ordinary
    prediction: mean 0, and s sqrt(1 + 1 / k). Where each is probed on copies of its own, the mean
    is what a model gains by that, and s is near the right one (exact if models' gains are alike).
    NaN where references don't vary: what a further one would show can't be told from them.
    """
    k = len(below)
    if k < MIN_REFERENCES:
        nan = np.full(below.shape[1:], np.nan)
        return nan, nan
    centre = below.mean(0)
    s = (below - centre).std(0, ddof=1) * (k - 1) / k
    s = np.maximum(s, least)
    s = np.where(s > 1e-9, s, np.nan)  # below a billionth it is rounding, and no spread
    return centre, s * np.sqrt(1 + 1 / k)


def predict(below: np.ndarray, least: np.ndarray | float = 0.0, level: float = 0.95) -> Interval:
    """Prediction interval for the deviation of a further reference: t, k - 1 df. -> two [...]."""
    centre, sd = spread(below, least)
    half = special.stdtrit(max(len(below) - 1, 1), 1 - (1 - level) / 2) * sd
    return centre - half, centre + half


def p_value(own: np.ndarray, below: np.ndarray, least: np.ndarray | float = 0.0) -> np.ndarray:
    """Two-sided p of a deviation, if the model were a further reference, [...] in [0, 1].

    Below 1 - level just where the deviation is outside :func:`predict`'s interval of that level.
    """
    centre, sd = spread(below, least)
    return np.asarray(2 * special.stdtr(max(len(below) - 1, 1), -np.abs(own - centre) / sd))


def detectable(
    below: np.ndarray, least: np.ndarray | float = 0.0, *, alpha: float = 0.05, power: float = 0.8
) -> np.ndarray:
    """Smallest shift that the two-sided test at level ``alpha`` finds with that power, [...].

    From the power of the t test at the measured spread, so as uncertain as that is.
    """
    sd, k = spread(below, least)[1], len(below)
    return sd * _shift(k - 1, alpha, power) if k >= MIN_REFERENCES else sd


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


def hits_against_null(pair: Pair, null: Sequence[Pair], draws: int) -> dict[str, np.ndarray]:
    """``predict_low``, ``predict_high`` (as ratios) and ``p_value`` per tau, each [tau].

    The prediction is made on log-odds. The limits are NaN where no reference recognises anything;
    p is known there too.
    """
    others = pair[1]
    own, below = odds_deviations(pair, null, draws)
    least = least_spread(others, draws)
    middle = log_odds(others, draws).mean(0)
    found = (others / draws).mean((0, -1))
    low, high = (
        np.divide(limit, found, where=found > 0, out=np.full(found.shape, np.nan))
        for limit in (accuracy_of(middle + d, others.shape[-1]) for d in predict(below, least))
    )
    return {"predict_low": low, "predict_high": high, "p_value": p_value(own, below, least)}


def margins_against_null(pair: Pair, null: Sequence[Pair]) -> dict[str, np.ndarray]:
    """The columns ``margin...`` per tau, each [tau]: logits, but ``margin_sd``."""
    own, below = deviations(lambda m: m.mean(-1), pair, null)
    low, high = predict(below)
    centre, sd = spread(below)
    return {
        "margin": pair[0].mean(-1),
        "margin_difference": own,
        "margin_predict_low": low,
        "margin_predict_high": high,
        "margin_sd": (own - centre) / (sd / np.sqrt(1 + 1 / max(len(below), 1))),
    }


# --- above, inside or below -----------------------------------------------------------------------


class Placement(NamedTuple):
    """A number, the references' mean and the 95 % prediction for a further one, how far the number
    is from that mean in standard deviations of the prediction (``t``), its two-sided p, and the
    ``finding``: one of ``SIDES``, or "" where it can't be said.
    """

    value: float
    reference: float
    predict_low: float
    predict_high: float
    t: float
    p: float
    finding: str


def placement(
    value: float, references: Sequence[float] | np.ndarray, *, left_out: bool = False
) -> Placement:
    """Place a number among those of K references, each computed as the number was.

    References must be computed with themselves left out where the statistic looks at references.
    ``left_out`` where it takes their mean off, as calibration does: such a number of a reference is
    off the mean of the *other* references already, and varies more by K / (K - 1). NaN throughout
    with fewer than three references, if a number isn't finite, and where references don't vary: six
    that say the same to the last digit can't show how much a seventh might differ.
    """
    others = np.asarray(references, np.float64)
    mean = float(others.mean()) if others.size else math.nan
    known = math.isfinite(value) and len(others) >= MIN_REFERENCES
    if not known or not np.isfinite(others).all():
        nan = math.nan
        return Placement(float(value), mean, nan, nan, nan, nan, "")
    # Each reference less the mean of the others, as spread asks for.
    below = (others - mean) * (1.0 if left_out else len(others) / (len(others) - 1))
    low, high = (mean + float(limit) for limit in predict(below))
    t = (value - mean) / float(spread(below)[1])
    p = float(p_value(np.array(value - mean), below))
    return Placement(float(value), mean, low, high, t, p, by_p(value - mean, p))


def by_p(difference: float, p: float, level: float = 0.05) -> str:
    """The side by a test: ``difference`` from the re-trained models, and its p; "" if p is NaN."""
    if math.isnan(p):
        return ""
    return "inside" if p >= level else "above" if difference > 0 else "below"
