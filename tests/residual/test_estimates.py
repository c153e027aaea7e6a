"""The estimators by hand: three samples, ten draws, two references, two radii.

                    tau_0            tau_1
    own             10  5  0         8  2  4
    reference 0     10  0  0         4  0  0
    reference 1      5  5  0         4  2  0
    mean reference  7.5 2.5 0        4  1  0

Sample 2 is never recognised by a reference: its ratio is undefined.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rurklib.residual import estimates

OWN = np.array([[10, 5, 0], [8, 2, 4]])
OTHERS = np.array([[[10, 0, 0], [4, 0, 0]], [[5, 5, 0], [4, 2, 0]]])


def test_ratio_of_means():
    """15 / 10 and 14 / 5. Fails if the ratios are averaged, or undefined samples are dropped."""
    assert estimates.ratio_of_means(OWN, OTHERS) == pytest.approx([1.5, 2.8])


def test_mean_of_ratios():
    """(10 / 7.5 + 5 / 2.5) / 2 and (8 / 4 + 2 / 1) / 2. Fails if an undefined sample counts as 0
    or 1, or if the references' ratios are averaged instead of the ratio to their mean."""
    assert estimates.mean_of_ratios(OWN, OTHERS) == pytest.approx([5 / 3, 2.0])


def test_per_sample():
    expected = [[4 / 3, 2, math.nan], [2, 2, math.nan]]
    assert estimates.per_sample(OWN, OTHERS) == pytest.approx(np.array(expected), nan_ok=True)


def test_undefined_share():
    """One sample of three is recognised by no reference. Fails if one reference's zero suffices
    (sample 1 is missed by reference 0 only)."""
    assert estimates.undefined_share(OTHERS) == pytest.approx([1 / 3, 1 / 3])


def test_accuracy():
    """15 of 30 and 14 of 30; the references' mean: 20 of 60 and 10 of 60."""
    assert estimates.accuracy(OWN, 10) == pytest.approx([15 / 30, 14 / 30])
    assert estimates.accuracy(OTHERS, 10) == pytest.approx([20 / 60, 10 / 60])


def test_nothing_is_defined_where_no_reference_recognises_anything():
    own, others = np.array([[3, 0]]), np.zeros((2, 1, 2), np.int64)
    assert np.isnan(estimates.ratio_of_means(own, others)).all()
    assert np.isnan(estimates.mean_of_ratios(own, others)).all()
    assert estimates.undefined_share(others) == 1


def test_prevalence_under_both_readings():
    """tau_0: samples 0 and 1 are above 1. tau_1: 0 and 1; sample 2 (4 / 0) only in the other
    reading. Fails if undefined samples leave the denominator (2 / 2), or 0 / 0 counts."""
    assert estimates.prevalence(OWN, OTHERS) == pytest.approx([2 / 3, 2 / 3])
    both = estimates.prevalence(OWN, OTHERS, undefined_above=True)
    assert both == pytest.approx([2 / 3, 1])
    assert (estimates.prevalence(OTHERS[0], OTHERS[:1], undefined_above=True) == 0).all()


def test_prevalence_of_pairs_is_over_references_one_by_one():
    """tau_0: against reference 0 no sample is above (10 = 10; 5 / 0 doesn't count), against 1 one
    (10 > 5). tau_1: sample 0 against 0, and against 1; sample 1 equals reference 1. Fails if the
    references are averaged first (2 / 3 at both), or x / 0 counts."""
    assert estimates.prevalence_of_pairs(OWN, OTHERS) == pytest.approx([1 / 6, 1 / 3])
    one = OTHERS[:1]
    assert (estimates.prevalence_of_pairs(OWN, one) == estimates.prevalence(OWN, one)).all()


def test_quantiles_over_samples():
    """Ratios 4/3 and 2 at tau_0, 2 and 2 at tau_1; the undefined sample is left out."""
    assert estimates.median_ratio(OWN, OTHERS) == pytest.approx([5 / 3, 2])
    expected = [[4 / 3, 2], [2, 2]]
    assert estimates.quantiles(OWN, OTHERS, (0, 1)) == pytest.approx(np.array(expected))
    assert np.isnan(estimates.median_ratio(OWN, 0 * OTHERS)).all()


def test_disagreement_bounds_by_hand():
    """Eq. 5 with p = 0.75, 0.25, 0 and r p = 1, 0.5, 0; at tau_1 p = 0.4, 0.1, 0, r p = 0.8, 0.2,
    0.4. Fails if r p is undefined where p = 0, or p is squared after averaging something else."""
    low, high = estimates.disagreement_bounds(OWN, OTHERS, 10)
    assert low == pytest.approx(np.array([[0.25, 0.375, 0], [0.48, 0.18, 0.4]]))
    assert high == pytest.approx(np.array([[0.25, 0.875, 1], [0.68, 0.98, 1]]))


@given(st.integers(2, 5), st.randoms(use_true_random=False))
def test_lemma_a4_holds_for_independent_copies(classes, random):
    """For any two histograms of answers, disagreement lies inside Eq. 5's bounds."""
    own, other = np.array([[random.randint(0, 20) for _ in range(classes)] + [1] for _ in range(2)])
    draws = own.sum() * other.sum()  # a common denominator, so that p and q are exact
    q, p = own[0] / own.sum(), other[0] / other.sum()
    low, high = estimates.disagreement_bounds(
        np.array([[q * draws]]), np.array([[[p * draws]]]), draws
    )
    k = estimates.disagreement(own, other)
    assert low.item() - 1e-12 <= k <= high.item() + 1e-12


hits = st.lists(st.integers(0, 12), min_size=2, max_size=8)


@given(hits, st.integers(1, 5))
def test_a_model_against_itself_is_exactly_one(row, k):
    """m = a gives 1, to the bit, for any counts and any number of copies of a."""
    own = np.array([row])
    others = np.stack([own] * k)
    if own.any():
        assert estimates.ratio_of_means(own, others) == 1
        assert estimates.mean_of_ratios(own, others) == 1


@given(hits, st.randoms(use_true_random=False))
def test_the_order_of_samples_and_references_does_not_matter(row, random):
    own = np.array([row])
    others = np.array([[random.choices(range(13), k=len(row))] for _ in range(3)])
    order = random.sample(range(len(row)), len(row))
    for estimate in (estimates.ratio_of_means, estimates.mean_of_ratios):
        a = estimate(own, others)
        b = estimate(own[:, order], others[::-1][:, :, order])
        assert a == pytest.approx(b, nan_ok=True)


def test_difference_is_a_share_and_defined_where_no_ratio_is():
    """By hand: 6 of 10 and 2 of 10 against references at 0 and 0; then 4 of 10 on average."""
    own = np.array([[6, 2]])
    nothing = np.zeros((2, 1, 2), int)
    np.testing.assert_allclose(estimates.difference(own, nothing, 10), [0.4])
    assert np.isnan(estimates.ratio_of_means(own, nothing)).all()
    others = np.array([[[4, 8]], [[2, 2]]])
    np.testing.assert_allclose(estimates.difference(own, others, 10), [0.0], atol=1e-12)


def test_the_mean_of_ratios_is_another_with_every_seed():
    """Seven models drawn alike, which differ sample by sample; samples from sure to hopeless, as at
    a large tau. One model over twenty seeds of copies: its mean of ratios ranges over 0.3 and more,
    five times as far as its ratio of means; over many such models it is above 1, which that isn't.
    """
    rng = np.random.default_rng(0)
    ease = rng.normal(-4, 3, 60)

    def measured(chance):
        hits = rng.binomial(100, chance, (7, 1, 60))
        both = estimates.mean_of_ratios, estimates.ratio_of_means
        return [estimate(hits[0], hits[1:]).item() for estimate in both]

    def models():
        return 1 / (1 + np.exp(-ease - rng.normal(0, 1.5, (7, 1, 60))))

    one = models()
    means, ratios = np.array([measured(one) for _ in range(20)]).T
    assert np.ptp(means) > max(0.3, 5 * np.ptp(ratios))
    means, ratios = np.array([measured(models()) for _ in range(200)]).T
    assert means.mean() > 1.2
    assert ratios.mean() == pytest.approx(1, abs=0.05)
