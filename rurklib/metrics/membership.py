"""Members or not, by one number a sample: AUC, and what is found at a false positive rate of 1 %.

Carlini et al. (S&P 2022) on why both: an attack is a threat if it is sure of *some* members while
it hardly ever accuses a stranger; an average over all hides that.
"""

from typing import NamedTuple

import numpy as np

from rurklib import checks


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


def auc(members: np.ndarray, others: np.ndarray) -> float:
    """Chance that a member scores above another, ties counted half, in [0, 1]: U / (n m)."""
    from scipy.stats import mannwhitneyu

    u = mannwhitneyu(members, others, method="asymptotic").statistic
    return float(u / (len(members) * len(others)))


def auc_interval(value: float, *, pairs: int, shared: float) -> tuple[float, float]:
    """95 % interval of an AUC found on ``pairs`` comparisons, in [0, 1].

    A comparison shares its member with some others, its non-member with some: ``shared`` is the
    mean of the two numbers. The interval holds all A from which ``value`` lies within 1.96 of
    Hanley & McNeil's standard errors *at A*, so it keeps a width at 0 and 1 (Newcombe, Statistics
    in Medicine 25 (2006) 559-573, method 5).
    """
    from scipy.optimize import brentq

    def excess(a: float) -> float:
        variance = a * (1 - a) * (1 + shared * ((1 - a) / (2 - a) + a / (1 + a))) / pairs
        return (value - a) ** 2 - 1.959964**2 * variance

    # At value = 0 or 1 the excess is 0 there, which isn't the end that is sought.
    low = brentq(excess, 0.0, value - 1e-12) if value > 0 else 0.0
    high = brentq(excess, value + 1e-12, 1.0) if value < 1 else 1.0
    return float(low), float(high)
