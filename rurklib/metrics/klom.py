"""KLoM, the KL divergence of margins: are unlearned models spread like re-trained ones?

Reference: Georgiev et al., "Attribute-to-Delete: Machine Unlearning via Datamodel Matching", ICLR
2025 (arXiv 2410.23232), app. E.1. Its bins and limits are in the authors' code
(data-unlearning-bench).

Algorithm, for each sample:
    1. margins (logit of y less log sum exp of the others) of many unlearned and re-trained models
    2. cut off at +-100, counted in 20 bins over the range of both
    3. KL(unlearned || re-trained) in nats; a bin without a re-trained model counts as 1e-5

How many models it takes: in its own units of spread a shift of 1 is a KL of 0.5. With 3 unlearned
models and 12 re-trained ones, all of one kind, step 3 comes to 6.5 (at most 11.5 is possible), with
100 and 100 to 0.35 (tests/metrics/test_klom.py). So it is NaN with fewer than 100 on either side.

Notes on this implementation: a study has three seeds and six to twelve re-trained models. For these
there is :func:`klom_normal`, a departure: normal distributions of one spread, which re-trained
models show, pooled over samples as in :mod:`rurklib.metrics.lira`. What is left is shift^2 / (2
spread^2), which one unlearned model shows; that unlearned models may be spread otherwise isn't
seen. The authors' code leaves the largest margin out of its last bin; here it is counted.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import rel_entr
from torch import nn

from rurklib import checks
from rurklib.metrics.lira import confidence
from rurklib.metrics.registry import metric
from rurklib.tensors import Pair

BINS, LIMIT, FLOOR = 20, 100.0, 1e-5
MIN_MODELS = 100  # on each side: five a bin


def klom(unlearned: np.ndarray, retrained: np.ndarray, *, bins: int = BINS) -> np.ndarray:
    """KL of margins for each sample, in nats, [n]; NaN with fewer than 100 models on a side.

    Margins (:func:`rurklib.metrics.confidence`) of m unlearned models [m, n] and K re-trained ones
    [K, n]. Raises InputError if shapes don't match or a margin isn't finite.
    """
    own, others = matching(unlearned, retrained)
    checks.count("bins", bins)
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
    """KL of normal distributions of one spread, for each sample, in nats, [n]; for few models.

    Margins as :func:`klom` takes them, m >= 1. NaN with fewer than two re-trained models, or if
    these don't differ. Under the null its mean is about (1 / m + 1 / K) / 2 and not 0: more where
    samples move together.
    """
    own, others = matching(unlearned, retrained)
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


def matching(unlearned: np.ndarray, retrained: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of unlearned models [m, n] and re-trained ones [K, n] as float64; InputError if they
    are about different samples, or aren't finite."""
    sides = [np.asarray(side, np.float64) for side in (unlearned, retrained)]
    shapes = [side.shape for side in sides]
    if not all(len(s) == 2 and s[0] and s[1] for s in shapes) or shapes[0][1] != shapes[1][1]:
        raise checks.InputError(
            f"unlearned {shapes[0]}, retrained {shapes[1]}: expected [models, samples] of the same "
            "samples"
        )
    for name, side in zip(("unlearned", "retrained"), sides, strict=True):
        if bad := int((~np.isfinite(side)).sum()):
            raise checks.InputError(
                f"{name}: {bad} of {side.size} numbers aren't finite: leave such a model out"
            )
    return sides[0], sides[1]
