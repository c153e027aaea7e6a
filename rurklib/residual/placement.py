"""Above, inside or below what re-trained models show: the one place that says so.

Every statistic of every attack is computed for each re-trained reference as if it were the
unlearned model, which is all that "no residual knowledge" can mean for an attacker. A t prediction
(:mod:`rurklib.residual.uncertainty`) says where one further reference would fall.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from rurklib.residual import uncertainty

SIDES = ("above", "inside", "below")


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
    known = math.isfinite(value) and len(others) >= uncertainty.MIN_REFERENCES
    if not known or not np.isfinite(others).all():
        nan = math.nan
        return Placement(float(value), mean, nan, nan, nan, nan, "")
    # Each reference less the mean of the others, as uncertainty.spread asks for.
    below = (others - mean) * (1.0 if left_out else len(others) / (len(others) - 1))
    low, high = (mean + float(limit) for limit in uncertainty.predict(below))
    t = (value - mean) / float(uncertainty.spread(below)[1])
    p = float(uncertainty.p_value(np.array(value - mean), below))
    return Placement(float(value), mean, low, high, t, p, by_p(value - mean, p))


def by_p(difference: float, p: float, level: float = 0.05) -> str:
    """The side by a test: ``difference`` from the re-trained models, and its p; "" if p is NaN."""
    if math.isnan(p):
        return ""
    return "inside" if p >= level else "above" if difference > 0 else "below"


def by_range(value: float, low: float, high: float) -> str:
    """The side by the range of the re-trained models, its ends included."""
    return "above" if value > high else "below" if value < low else "inside"


def in_most(findings: Iterable[str]) -> str:
    """The verdict that more than half of a method's seeds have, or that there is none such."""
    counts = Counter(findings)
    most, n = counts.most_common(1)[0]
    return most if n > counts.total() / 2 else "differs by seed"
