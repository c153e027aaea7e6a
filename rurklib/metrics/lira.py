"""A likelihood-ratio attack that knows how hard each sample is: re-trained models say so.

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
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor, nn

from rurklib import checks
from rurklib.metrics.membership import auc_interval, membership
from rurklib.metrics.registry import metric
from rurklib.models.logits import logit_margin, logits
from rurklib.tensors import Pair

Array = Tensor | np.ndarray


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
    [h]; those of K >= 2 re-trained references on both, [K, n] and [K, h]. Raises InputError if
    shapes don't match, a value isn't finite, or the references hold the model or don't differ.
    """
    own = [_finite("model", side, 1) for side in (model_forget, model_held_out)]
    out = [_finite("references", side, 2) for side in (references_forget, references_held_out)]
    (n, h), k = map(len, own), len(out[0])
    if (shapes := [o.shape for o in out]) != [(max(k, 2), n), (max(k, 2), h)]:
        raise checks.InputError(
            f"references: expected [K, {n}], [K, {h}] with K >= 2, got {shapes}"
        )
    both = np.concatenate(out, axis=1)
    if (both == np.concatenate(own)).all(axis=1).any():
        raise checks.InputError("the model is among its own references: leave that one out")
    sigma = math.sqrt(both.var(axis=0, ddof=1).mean())
    if sigma == 0:
        raise checks.InputError("the references don't differ: are they one model, loaded K times?")
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


def _finite(what: str, values: Any, axes: int) -> np.ndarray:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != axes or not array.size or not np.isfinite(array).all():
        raise checks.InputError(
            f"{what}: expected finite numbers on {axes} axes, got {array.shape}"
        )
    return array
