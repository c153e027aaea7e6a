"""LiRA, a likelihood-ratio attack that knows how hard each sample is, from re-trained models.

Reference: Carlini et al., "Membership Inference Attacks From First Principles", S&P 2022 (the
offline attack).

Algorithm:
    1. phi = log(p_y / (1 - p_y)), the logit-scaled confidence of a model in the correct label
    2. K references, re-trained without the sample, show what phi is if it was not seen
    3. ``auc``: over the forget samples, the chance that the model is surer than a reference
    4. ``mean_z``: how much surer, (phi - mean of the references) / sigma, averaged

A re-trained model has AUC 0.5 and mean z 0, up to noise. Near 1 the forget samples still show; far
*below* 0.5 they show as well, being less certain than an unseen sample would be.

The control ``held_out``: are the z of forget samples above those of samples of the same class that
no model saw? A model that saw more of a class is surer of *all* its samples.

Sigma is one for all samples, pooled over the references' spread around each sample's own mean, as
Carlini et al. advise for few shadow models. A model judged must not be among its references.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor, nn

from rurklib import checks
from rurklib.metrics.registry import metric
from rurklib.tensors import Pair, logit_margin, logits

FPR = 0.01  # the false positive rate at which a true positive rate is given


class Membership(NamedTuple):
    """AUC (Hanley and McNeil's errors by Newcombe's interval) and the true positive rate at FPR
    (Clopper and Pearson), each with its 95 % interval over samples, in [0, 1].

    The second takes the threshold as given, which another draw of others would move.
    """

    auc: float
    auc_low: float
    auc_high: float
    tpr: float
    tpr_low: float
    tpr_high: float


def membership(members: np.ndarray, others: np.ndarray) -> Membership:
    """Judge finite scores (higher: more like a member) of members [n] and others [m].

    In the AUC ties count half. A member is found if its score is above all but floor(FPR m) of the
    others'.
    """
    from scipy.stats import binomtest, mannwhitneyu

    n, m = len(members), len(others)
    auc = float(mannwhitneyu(members, others, method="asymptotic").statistic / (n * m))
    found = int((members > np.sort(others)[::-1][int(FPR * m)]).sum())
    exact = binomtest(found, n).proportion_ci()
    interval = auc_interval(auc, n, m)
    return Membership(auc, *interval, found / n, float(exact.low), float(exact.high))


def auc_interval(value: float, n: int, m: int) -> tuple[float, float]:
    """95 % interval of an AUC of n members and m others, in [0, 1]: all A from which ``value`` lies
    within 1.96 of Hanley & McNeil's standard errors *at A*, so that it keeps a width at 0 and 1
    (Newcombe, Statistics in Medicine 25 (2006) 559-573, method 5)."""
    from scipy.optimize import brentq

    shared = (n + m) / 2 - 1  # comparisons that have a member, or a non-member, in common with one

    def excess(a: float) -> float:
        variance = a * (1 - a) * (1 + shared * ((1 - a) / (2 - a) + a / (1 + a))) / (n * m)
        return (value - a) ** 2 - 1.959964**2 * variance

    # At value = 0 or 1 the excess is 0 there, which isn't the end that is sought.
    low = brentq(excess, 0.0, value - 1e-12) if value > 0 else 0.0
    high = brentq(excess, value + 1e-12, 1.0) if value < 1 else 1.0
    return float(low), float(high)


class LiRA(NamedTuple):
    """``held_out`` is the control: z of forget samples against z of held-out ones."""

    auc: float
    mean_z: float
    held_out: Membership


def confidence(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """phi = log(p_y / (1 - p_y)) of the correct label, float64 [n] on the CPU, in eval mode.

    From logits, as z_y - log sum exp(z_others): by way of p_y it would be infinite as soon as
    p_y rounds to 1. x [n, ...], y int64 [n]; raises InputError if they don't fit the model.
    """
    checks.pair((x, y), "samples", bounds=None)
    checks.logits(model, x, y)
    return logit_margin(logits(model, x), y).cpu()


def lira(
    forget: np.ndarray,
    references_forget: np.ndarray,
    held_out: np.ndarray,
    references_held_out: np.ndarray,
) -> LiRA:
    """Judge one model from confidences (:func:`confidence`) alone.

    Shapes: the model's on the forget samples [n] and on never-trained samples of the same class
    [h]; those of K >= 2 re-trained references on both, [K, n] and [K, h].
    """
    both = np.concatenate([references_forget, references_held_out], axis=1)
    sigma = math.sqrt(both.var(axis=0, ddof=1).mean())
    z = (forget - references_forget.mean(axis=0)) / sigma
    z_held_out = (held_out - references_held_out.mean(axis=0)) / sigma
    above = (forget > references_forget) + (forget == references_forget) / 2
    return LiRA(float(above.mean()), float(z.mean()), membership(z, z_held_out))


def confidences(model: nn.Module, forget: Pair, held_out: Pair) -> list[np.ndarray]:
    """Of the forget samples [n], and of held-out ones [h]."""
    return [confidence(model, *pair).numpy() for pair in (forget, held_out)]


@metric(reading=confidences, lira_auc=("LiRA AUC", 2), lira_mean_z=("LiRA z", 1))
def lira_columns(
    own: Sequence[np.ndarray], others: Sequence[Sequence[np.ndarray]]
) -> tuple[float, float]:
    """AUC and mean z of a model beside re-trained ones; NaN with fewer than two of these."""
    if len(others) < 2:
        return math.nan, math.nan
    forget, held_out = (np.stack(side) for side in zip(*others, strict=True))
    return lira(own[0], forget, own[1], held_out)[:2]
