"""Members or not, by one number a sample: AUC, and what is found at a false positive rate of 1 %.

Carlini et al. (S&P 2022) on why both: an attack is a threat if it is sure of *some* members while
it hardly ever accuses a stranger; an average over all hides that.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rurklib import checks
from rurklib.metrics.lira import auc, auc_interval


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
    from scipy import stats

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
