"""Members or not by a number a sample, against values worked out by hand. How often the interval of
an AUC holds: test_lira.py."""

import numpy as np
import pytest
from scipy import stats

from rurklib.checks import InputError
from rurklib.metrics.membership import membership


def test_auc_and_tpr_by_hand():
    """Others 0 ... 199: two false positives are allowed at 1 %, so a member must pass 197."""
    members = np.array([197.0, 197.5, 198.5, 250.0, -1.0])
    others = np.arange(200.0)
    found = membership(members, others)
    assert found.tpr == pytest.approx(3 / 5)
    ranks = [(m > others).mean() + (m == others).mean() / 2 for m in members]
    assert found.auc == pytest.approx(np.mean(ranks))
    assert found.auc_low < found.auc < found.auc_high
    exact = stats.binomtest(3, 5).proportion_ci(method="exact")
    assert (found.tpr_low, found.tpr_high) == pytest.approx((exact.low, exact.high))


def test_with_few_others_no_false_positive_is_allowed():
    others = np.arange(60.0)
    assert membership(np.array([59.0, 59.5]), others).tpr == 0.5
    assert membership(np.array([59.0, 59.5]), others, fpr=0.02).tpr == 1.0
    assert membership(np.array([0.0]), others, fpr=1.0).tpr == 1.0


def test_scores_that_are_none_are_refused():
    for bad in (np.array([]), np.array([np.nan]), np.zeros((2, 2))):
        with pytest.raises(InputError, match="finite scores"):
            membership(bad, np.arange(3.0))
