"""LiRA, a likelihood-ratio attack that knows how hard each sample is: re-trained models say so.

Reference: Carlini et al., "Membership Inference Attacks From First Principles", S&P 2022 (the
offline attack).

Algorithm:
    1. phi = log(p_y / (1 - p_y)), the logit-scaled confidence of a model in the correct label
    2. K references, re-trained without the sample, show what phi is if it was not seen
    3. ``auc``: over the forget samples, the chance that the model is surer than a reference
    4. ``mean_z``: how much surer, (phi - mean of the references) / sigma, averaged

A re-trained model has AUC 0.5 and mean z 0, give or take noise. Near 1 the forget samples still
show; far *below* 0.5 they show as well, being less certain than an unseen sample would be.

The control ``held_out_auc`` is the chance that a forget sample's z is above that of a sample of the
same class that no model saw. A model that saw more of a class is surer of *all* its samples: on
digits, Original has an ``auc`` of 0.86 ... 0.94 but a ``held_out_auc`` of 0.56 ... 0.67.

Notes on this implementation: sigma is one for all samples, pooled over the references' spread
around each sample's own mean, as Carlini et al. advise for few shadow models. ``auc`` needs none.
A model judged must not be among its references: ``np.delete(references, k, axis=0)``.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.optimize import brentq
from torch import Tensor, nn

from rurklib import checks
from rurklib.metrics.registry import metric
from rurklib.tensors import Pair, logit_margin, logits

Array = Tensor | np.ndarray


class Membership(NamedTuple):
    """AUC (Hanley and McNeil's errors by Newcombe's interval) and the true positive rate at the
    false positive rate asked for (Clopper and Pearson), each with its 95 % interval, in [0, 1].

    Both intervals are for this very model, over samples. The second takes the threshold as given:
    with fewer than 1 / fpr others no false positive is allowed, the threshold is the largest of
    them, and another draw of others would move it. The spread over re-trained models has it all.
    """

    auc: float
    auc_low: float
    auc_high: float
    tpr: float
    tpr_low: float
    tpr_high: float


def membership(members: np.ndarray, others: np.ndarray, fpr: float = 0.01) -> Membership:
    """Judge scores (higher: more like a member) of members [n] and others [m].

    A member is found if its score is above all but floor(fpr m) of the others'. Raises InputError
    if a side is empty or not finite.
    """
    a, b = np.asarray(members, np.float64), np.asarray(others, np.float64)
    for name, side in (("members", a), ("others", b)):
        if side.ndim != 1 or not side.size or not np.isfinite(side).all():
            raise checks.InputError(f"{name} {side.shape}: expected a vector of finite scores")
    checks.number("fpr", fpr, 0.0, 1.0)
    n, m = len(a), len(b)
    value = auc(a, b)
    low, high = auc_interval(value, pairs=n * m, shared=(n + m) / 2 - 1)
    allowed = int(np.floor(fpr * m))
    found = int((a > np.sort(b)[::-1][min(allowed, m - 1)]).sum()) if allowed < m else n
    tpr_low = float(stats.beta.ppf(0.025, found, n - found + 1)) if found else 0.0
    tpr_high = float(stats.beta.ppf(0.975, found + 1, n - found)) if found < n else 1.0
    return Membership(value, low, high, found / n, tpr_low, tpr_high)


def auc(members: np.ndarray, others: np.ndarray) -> float:
    """Chance that a member scores above another, ties counted half, in [0, 1]: U / (n m)."""
    u = stats.mannwhitneyu(members, others, method="asymptotic").statistic
    return float(u / (len(members) * len(others)))


def auc_interval(value: float, *, pairs: int, shared: float) -> tuple[float, float]:
    """95 % interval of an AUC found on ``pairs`` comparisons, in [0, 1].

    A comparison shares its member with some others, its non-member with some: ``shared`` is the
    mean of the two numbers. The interval holds all A from which ``value`` lies within 1.96 of
    Hanley & McNeil's standard errors *at A*, so it keeps a width at 0 and 1 (Newcombe, Statistics
    in Medicine 25 (2006) 559-573, method 5).
    """

    def excess(a: float) -> float:
        variance = a * (1 - a) * (1 + shared * ((1 - a) / (2 - a) + a / (1 + a))) / pairs
        return (value - a) ** 2 - 1.959964**2 * variance

    # At value = 0 or 1 the excess is 0 there, which isn't the end that is sought.
    low = brentq(excess, 0.0, value - 1e-12) if value > 0 else 0.0
    high = brentq(excess, value + 1e-12, 1.0) if value < 1 else 1.0
    return float(low), float(high)


class LiRA(NamedTuple):
    """AUCs in [0, 1] with 95 % intervals, and ``mean_z`` (unbounded). The intervals are for these
    very models, over samples that vary independently; another seed moves all samples together."""

    auc: float
    mean_z: float
    auc_low: float
    auc_high: float
    held_out_auc: float
    held_out_low: float
    held_out_high: float


def confidence(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """phi = log(p_y / (1 - p_y)) of the correct label, float64 [n] on the CPU, in eval mode.

    From logits, as z_y - log sum exp(z_others): by way of p_y it would be infinite as soon as
    p_y rounds to 1. x [n, ...], y int64 [n]; raises InputError if they don't fit the model.
    """
    checks.pair((x, y), "samples", bounds=None)
    if checks.logits(model, x, y) < 2:
        raise checks.InputError("model has a single class: expected two or more")
    return logit_margin(logits(model, x), y).cpu()


def lira(
    model_forget: Array, references_forget: Array, model_held_out: Array, references_held_out: Array
) -> LiRA:
    """Judge one model from confidences (:func:`confidence`) alone.

    Shapes: the model's on the forget samples [n] and on never-trained samples of the same class
    [h]; those of K >= 2 re-trained references on both, [K, n] and [K, h]. Raises InputError for a
    single reference or a value that isn't finite.
    """
    own = [np.asarray(side, np.float64) for side in (model_forget, model_held_out)]
    out = [np.asarray(side, np.float64) for side in (references_forget, references_held_out)]
    n, k = len(own[0]), len(out[0])
    if k < 2:
        raise checks.InputError(f"{k} reference: expected two or more, to show a spread")
    both = np.concatenate(out, axis=1)
    if not (np.isfinite(both).all() and np.isfinite(np.concatenate(own)).all()):
        raise checks.InputError("confidences hold NaN or infinity: leave such a model out")
    sigma = math.sqrt(both.var(axis=0, ddof=1).mean())
    z, z_held_out = ((m - o.mean(axis=0)) / sigma for m, o in zip(own, out, strict=True))
    above = float(((own[0] > out[0]) + (own[0] == out[0]) / 2).mean())
    interval = auc_interval(above, pairs=n * k, shared=(k - 1) / 2)
    return LiRA(above, float(z.mean()), *interval, *membership(z, z_held_out)[:3])


def confidences(model: nn.Module, forget: Pair, held_out: Pair) -> tuple[np.ndarray, ...]:
    """Of the forget samples [n], and of held-out ones [h]."""
    return tuple(confidence(model, *pair).numpy() for pair in (forget, held_out))


@metric(reading=confidences, lira_auc=("LiRA AUC", 2), lira_mean_z=("LiRA z", 1))
def lira_columns(
    own: Sequence[np.ndarray], others: Sequence[Sequence[np.ndarray]]
) -> tuple[float, float]:
    """AUC and mean z of a model beside re-trained ones; NaN with fewer than two of these."""
    if len(others) < 2:
        return math.nan, math.nan
    forget, held_out = (np.stack(side) for side in zip(*others, strict=True))
    found = lira(own[0], forget, own[1], held_out)
    return found.auc, found.mean_z
