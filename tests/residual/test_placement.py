"""Placements against a t prediction written out by hand, and their share of false alarms."""

import math

import numpy as np
import pytest
from scipy import stats

from rurklib.residual.placement import by_p, by_range, placement


def test_a_placement_is_the_t_prediction_for_one_more():
    """By hand: mean 2, s 1, K = 3: 2 +- 4.3027 * sqrt(4 / 3)."""
    found = placement(9.0, [1.0, 2.0, 3.0])
    half = stats.t.ppf(0.975, 2) * math.sqrt(4 / 3)
    assert (found.reference, found.value) == (2.0, 9.0)
    assert (found.predict_low, found.predict_high) == pytest.approx((2 - half, 2 + half))
    assert found.t == pytest.approx(7 / math.sqrt(4 / 3))
    assert found.p == pytest.approx(2 * stats.t.sf(found.t, 2))
    assert found.finding == "above"
    assert placement(-9.0, [1.0, 2.0, 3.0]).finding == "below"
    assert placement(2.5, [1.0, 2.0, 3.0]).finding == "inside"


def test_false_alarms_are_five_in_a_hundred():
    rng = np.random.default_rng(1)
    draws = rng.normal(3.0, 2.0, (2000, 8))
    outside = [placement(d[0], d[1:]).finding != "inside" for d in draws]
    assert np.mean(outside) == pytest.approx(0.05, abs=0.015)


@pytest.mark.parametrize("k", [3, 6])
def test_what_leaves_the_reference_out_has_five_in_a_hundred_too(k):
    """Each less the mean of the others. Fails if those are spread out once more (2.3 and 2.7 %)."""
    draws = np.random.default_rng(k).normal(size=(4000, k + 1))
    own, others = draws[:, 0], draws[:, 1:]
    value = own - others.mean(1)
    null = others - (others.sum(1, keepdims=True) - others) / (k - 1)
    both = zip(value, null, strict=True)
    outside = [placement(v, n, left_out=True).finding != "inside" for v, n in both]
    assert np.mean(outside) == pytest.approx(0.05, abs=0.012)


def test_where_nothing_can_be_said_nothing_is():
    for value, references in ((1.0, [1.0, 2.0]), (math.nan, [1, 2, 3]), (1.0, [1, math.nan, 2]),
                              (1.0, [1.0] * 3), (1.1, [1.0] * 3), (9.0, [1 / 3] * 6)):  # fmt: skip
        found = placement(value, references)
        assert found.finding == ""
        assert math.isnan(found.p)


def test_the_side_by_a_test_or_by_a_range():
    assert [by_p(d, p) for d, p in ((1, 0.049), (1, 0.05), (-1, 0.0), (1, math.nan))] == [
        "above", "inside", "below", "",
    ]  # fmt: skip
    assert by_p(1.0, 0.02, level=0.01) == "inside"
    assert [by_range(v, 1, 2) for v in (0.9, 1, 2, 2.1)] == ["below", "inside", "inside", "above"]
