"""Where a model's number stands among those of re-trained models.

Every statistic of every attack is computed for each re-trained reference as if it were the
unlearned model, which is all that "no residual knowledge" can mean for an attacker. A t prediction
(:mod:`rurklib.residual.uncertainty`) says where one further reference would fall.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rurklib.residual import uncertainty


class Standing(NamedTuple):
    """A number, the references' mean and the 95 % prediction for a further one, how far the number
    is from that mean in standard deviations of the prediction (``t``), and its two-sided p.

    ``finding``: "above", "below", "inside", or "" where it can't be said.
    """

    value: float
    reference: float
    predict_low: float
    predict_high: float
    t: float
    p: float
    finding: str


def standing(value: float, references: Sequence[float] | np.ndarray) -> Standing:
    """Place a number among those of K references, each computed as the number was.

    References must be computed with themselves left out where the statistic looks at references.
    NaN throughout with fewer than three references, or if a number isn't finite.
    """
    others = np.asarray(references, np.float64)
    mean = float(others.mean()) if others.size else math.nan
    known = math.isfinite(value) and len(others) >= uncertainty.MIN_REFERENCES
    if not known or not np.isfinite(others).all():
        nan = math.nan
        return Standing(float(value), mean, nan, nan, nan, nan, "")
    # Each reference less the mean of the others, as uncertainty.spread asks for.
    below = (others - mean) * len(others) / (len(others) - 1)
    least = 1e-6 * max(abs(mean), 1.0)  # references that all say the same to the last digit
    low, high = uncertainty.predict(below, least)
    sd = float(uncertainty.spread(below, least)[1])
    p = float(uncertainty.p_value(np.array(value - mean), below, least))
    finding = "inside" if p >= 0.05 else "above" if value > mean else "below"
    return Standing(
        float(value), mean, mean + float(low), mean + float(high), (value - mean) / sd, p, finding
    )
