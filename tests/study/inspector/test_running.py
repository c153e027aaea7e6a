"""The running ratio: the measurement's hits in the end, and an interval that covers."""

import numpy as np
import pytest

from rurklib import study
from rurklib.study.inspector.running_ratio import ratio_so_far, running, wilson


def test_after_all_draws_the_hits_are_the_counts(inspector):
    counts = study.residual(inspector.run, "gaussian").counts
    theirs = np.mean([counts.hits["Re-train", k] for k in (1000, 1001, 1002)], 0)
    for sample in (0, 9, 30):
        *_, last = running(inspector, sample, "gaussian", 0.2, model="GD")
        assert last.done == last.total == 12
        assert last.hits[-1] == counts.hits["GD", 0][2, sample]
        assert last.reference_hits[-1] == pytest.approx(theirs[2, sample])
        if last.reference_hits[-1]:
            assert last.ratio[-1] == pytest.approx(last.hits[-1] / last.reference_hits[-1])


def test_reports_grow_by_ten_draws(inspector):
    parts = list(running(inspector, 0, "gaussian", 0.1, draws=25))
    assert [p.done for p in parts] == [10, 20, 25]
    np.testing.assert_array_equal(parts[0].ratio, parts[2].ratio[:10])
    np.testing.assert_array_equal(parts[2].draws, np.arange(1, 26))


def test_a_reference_is_not_compared_with_itself_nor_with_one_copies_were_found_on(inspector):
    (*_, r) = running(inspector, 0, "gaussian", 0.1, model="Re-train 1001")
    assert r.references == 2
    (*_, r) = running(inspector, 0, "pgd-l2", 0.5, found_on="Re-train 1000", draws=3)
    assert r.references == 2
    assert inspector.others("gaussian", "Re-train 1000", "GD") == inspector.references


@pytest.mark.parametrize(("perturbation", "tau"), [("fgsm", 0.1), ("gaussian", 0.0)])
def test_without_chance_one_draw_is_certain(inspector, perturbation, tau):
    (only,) = running(inspector, 0, perturbation, tau)
    assert only.certain
    assert only.done == only.total == 1
    np.testing.assert_array_equal(only.low, only.ratio)
    np.testing.assert_array_equal(only.high, only.ratio)


def test_zero_denominators():
    own = np.array([1, 1, 1], bool)
    found = np.stack(ratio_so_far(own, np.array([[0, 0, 1], [0, 0, 0]], bool)))
    assert np.isnan(found[:, :2]).all()
    assert found[0, 2] == pytest.approx(6.0)  # 3 of 3 against 1/6
    ratio, low, high = ratio_so_far(~own, np.ones((2, 3), bool))
    np.testing.assert_array_equal([ratio, low], 0)
    assert (high > 0).all()
    assert (np.diff(high) < 0).all()


def test_certainty_is_not_claimed_from_few_draws():
    """Fails for a plain delta method, whose variance is 0 while nothing has varied yet."""
    ones = np.ones(40, bool)
    ratio, low, high = ratio_so_far(ones, ones[None])
    np.testing.assert_array_equal(ratio, 1)
    assert low[0] < 0.3
    assert high[0] > 3
    assert (np.diff(high - low) < 0).all()


def test_wilson_against_published_numbers():
    """Newcombe (1998), table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    hits, n = np.array([81, 15, 0, 1]), np.array([263, 148, 20, 29])
    low, high = wilson(hits / n, n, 1.959964)
    np.testing.assert_allclose(low, [0.2553, 0.0624, 0.0, 0.0061], atol=5e-5)
    np.testing.assert_allclose(high, [0.3662, 0.1605, 0.1611, 0.1718], atol=5e-5)


@pytest.mark.parametrize("together", [0.0, 0.8])
@pytest.mark.parametrize(("p", "q", "k"), [(0.8, 0.5, 1), (0.95, 0.9, 1), (0.5, 0.7, 6)])
def test_it_covers(p, q, k, together):
    """95 % nominal, at 40 draws; ``together`` is the share of draws that all models share."""
    rng = np.random.default_rng(0)
    inside, width = [], []
    for _ in range(400):
        common = rng.random(40) < together
        u = np.where(common, rng.random(40), rng.random((k + 1, 40)))
        _, low, high = ratio_so_far(u[0] < p, u[1:] < q)
        inside.append(low[-1] <= p / q <= high[-1])
        width.append(high[-1] - low[-1])
    assert np.mean(inside) > 0.93
    assert np.mean(width) < 1.2 * p / q  # it says something


def test_what_copies_have_in_common_makes_the_ratio_surer():
    """Two models that always agree differ in nothing; two with copies of their own might."""
    rng = np.random.default_rng(1)
    own = rng.random(100) < 0.5
    _, low, high = ratio_so_far(own, own[None])
    _, low_, high_ = ratio_so_far(own, rng.permutation(own)[None])
    assert high[-1] - low[-1] < 0.5 * (high_[-1] - low_[-1])
