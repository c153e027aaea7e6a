"""How far a model's outputs on the forget samples are from a re-trained model's.

Reference: the activation distance is of Golatkar et al., "Mixed-Privacy Forgetting in Deep
Networks", CVPR 2021; as the L2 distance of softmax outputs, and with the Jensen-Shannon divergence
beside it, of Chundawat et al., "Can Bad Teaching Induce Forgetting?", AAAI 2023::

    activation distance = mean over samples of ||p - q||, in [0, sqrt 2]
    JS divergence       = mean of (KL(p || m) + KL(q || m)) / 2, m = (p + q) / 2, in [0, ln 2]

Notes on this implementation: the papers have one re-trained model; here each is compared with, and
the mean taken. Two re-trained models differ too, so 0 is no goal: the yardstick is what re-trained
models have to each other. The authors' published code has KL(m || p) for KL(p || m), whose mean is
unbounded, and divides it by the number of classes as well.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import rel_entr
from torch import nn

from rurklib import checks
from rurklib.metrics.registry import metric
from rurklib.models.logits import logits
from rurklib.samples import Pair


def activation_distance(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """L2 distances of probabilities [..., classes], [...] in [0, sqrt 2]."""
    return np.linalg.norm(np.asarray(p) - np.asarray(q), axis=-1)


def js_divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergences of probabilities [..., classes], in nats, [...] in [0, ln 2]."""
    middle = (np.asarray(p) + np.asarray(q)) / 2
    return (rel_entr(p, middle) + rel_entr(q, middle)).sum(axis=-1) / 2


def probabilities(model: nn.Module, forget: Pair) -> np.ndarray:
    """Softmax outputs on the samples, float64 [n, classes], in eval mode."""
    x, y = checks.pair(forget, "forget", bounds=None)
    checks.logits(model, x, y)
    return logits(model, x).double().softmax(1).cpu().numpy()


@metric(reading=probabilities, activation_distance=("", 3), js_divergence=("", 3))
def output_distance(own: np.ndarray, others: Sequence[np.ndarray]) -> tuple[float, float]:
    """Both, mean over forget samples and re-trained models; NaN without any of these."""
    if not len(others):
        return math.nan, math.nan
    apart = [(activation_distance(own, q).mean(), js_divergence(own, q).mean()) for q in others]
    distance, divergence = np.mean(apart, axis=0)
    return float(distance), float(divergence)
