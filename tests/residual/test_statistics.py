"""Intervals and predictions: by hand, against scipy, and by how often they hold in made-up worlds.

All functions work tau by tau, so the tau axis carries the worlds: a thousand cost one call.

A world: sample i is recognised by model k with probability Phi(b_i + a_k + e_ki), where a_k is the
luck of a training (sd ``luck``), e_ki its luck with one sample, and hits are binomial.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rurklib.residual import statistics
from rurklib.residual.statistics import log_odds, p_value, predict

Phi = stats.norm.cdf
WORLDS, DRAWS = 1000, 100


def make_worlds(k, n, *, luck=0.15, own_luck=0.3, shift=0.3):
    """own [world, n], others [k, world, n], and the true accuracies of m and of re-training, for
    one forget set. m is one fixed model, ``shift`` better than the average re-trained one."""
    rng, worlds = np.random.default_rng([0, k, n]), WORLDS
    ability = 1 + rng.standard_normal((1, n))
    a = luck * rng.standard_normal((k, worlds, 1))
    e = own_luck * rng.standard_normal((k, worlds, n))
    p_own = Phi(ability + shift + own_luck * rng.standard_normal(ability.shape))
    others = rng.binomial(DRAWS, Phi(ability + a + e))
    own = rng.binomial(DRAWS, np.broadcast_to(p_own, (worlds, n)))
    truth = p_own.mean(), Phi(ability / np.sqrt(1 + luck**2 + own_luck**2)).mean()
    return own, others, *truth


@pytest.mark.parametrize(("n", "k"), [(10, 10), (30, 3), (100, 6)])
def test_intervals_cover_95_percent(n, k):
    """Fails if a part of the variance is left out or counted twice, or if all parts get the normal
    quantile (K = 3: 80 %)."""
    own, others, p_own, p_others = make_worlds(k, n)
    (low, high), truth = statistics.ratio_interval(own, others, DRAWS), p_own / p_others
    assert 0.93 <= np.mean((low <= truth) & (truth <= high)) <= 0.97
    assert np.mean(truth < low) < 0.05  # and misses on both sides
    assert np.mean(truth > high) < 0.05


values = st.lists(st.floats(-100, 100).map(lambda v: round(v, 3)), min_size=3, max_size=12)
enough = values.filter(lambda v: np.std(v) > 1e-2)


@given(enough, st.floats(-100, 100), st.sampled_from([0.8, 0.95, 0.99]))
def test_the_prediction_is_scipys(references, own, level):
    """That of a t test between one value and k. Fails without sqrt(1 + 1 / k), with k degrees of
    freedom, or a p of one side."""
    others = np.array(references)
    scale = others.std(ddof=1) * math.sqrt(1 + 1 / len(others))
    t = stats.t(len(others) - 1, others.mean(), scale)
    assert predict(others, confidence=level) == pytest.approx(t.interval(level), abs=1e-9)
    expected = 2 * min(t.cdf(own), t.sf(own))
    assert p_value(np.array(own), others) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@given(enough, st.floats(-100, 100), st.floats(0.1, 10), st.floats(-10, 10))
def test_neither_scale_nor_order_changes_a_p(references, own, factor, shift):
    others = np.array(references)
    p = p_value(np.array(own), others)
    moved = p_value(np.array(factor * own + shift), factor * others[::-1] + shift)
    assert moved == pytest.approx(p, rel=1e-6, abs=1e-12)
    assert p_value(np.array(own), others, least=10.0) >= p - 1e-12  # a floor makes nobody surer


def test_a_ratio_interval_by_hand():
    """Two samples, ten draws, three references with accuracies 0.4, 0.5, 0.6: their variance 0.01
    over 3, over the mean's square; the copies' part p (1 - p) / 9 / n, with p = 0.9 and 0.7."""
    own = np.array([[9, 7]])
    others = np.array([[[4, 4]], [[5, 5]], [[6, 6]]])
    references = 0.01 / 3 / 0.5**2
    copies = (0.09 + 0.21) / 2 / 9 / 2 / 0.8**2
    t, z = stats.t.ppf(0.975, 2), stats.norm.ppf(0.975)
    half = (t * references + z * copies) / np.sqrt(references + copies)
    low, high = statistics.ratio_interval(own, others, 10)
    assert np.log(low) == pytest.approx(np.log(1.6) - half)
    assert np.log(high) == pytest.approx(np.log(1.6) + half)


def test_a_ratio_of_zero_and_an_undefined_one():
    """Never recognised: 0 ... -log(0.025) / 30 copies / 0.5. No reference ever does: NaN, but the
    difference stays."""
    some, never = np.array([[[5, 5, 5]]] * 3), np.zeros((3, 1, 3), int)
    low, high = statistics.ratio_interval(np.zeros((1, 3), int), some, 10)
    assert low == 0
    assert high == pytest.approx(-np.log(0.025) / 30 / 0.5)
    own = np.array([[5, 5, 0]])
    assert np.isnan(statistics.ratio_interval(own, never, 10)).all()
    assert np.isnan(statistics.ratio_of_means(own, never)).all()
    assert np.isnan(statistics.mean_of_ratios(own, never)).all()
    assert statistics.difference(own, never, 10) == pytest.approx([1 / 3])


@pytest.mark.parametrize(("samples", "missed", "others_too"), [(45, 0, 30), (71, 8, 8)])
def test_references_that_agree_do_not_convict(samples, missed, others_too):
    """Six references are right on all 45 images, and the model misses one of them; or all of them
    miss the same 8 of 71, and the model 7 of these. A seventh might have done so as well (Laplace:
    1 in 8). Fails if their agreement counts as certainty: p was 0 then."""
    others = np.full((6, 1, samples), 10)
    others[:, 0, :missed] = 0
    least = statistics.least_spread(others, 10)

    def where_the_first_differ(n):
        own = others[0].copy()
        own[0, :n] = 10 - own[0, :n]
        return p_value(log_odds(own, 10), log_odds(others, 10), least)

    assert where_the_first_differ(1) > 0.1
    assert where_the_first_differ(others_too) < 0.01


OWN = np.array([[10, 5, 0], [8, 2, 4]])
OTHERS = np.array([[[10, 0, 0], [4, 0, 0]], [[5, 5, 0], [4, 2, 0]]])


def test_estimates_by_hand():
    """Sums 15 and 14 against 10 and 5, of 30. Fails if the ratios are averaged, if an undefined
    sample counts as 0 or 1 or is dropped from the ratio of means, if the references' ratios are
    averaged instead of the ratio to their mean, or if one reference's zero makes one undefined."""
    assert statistics.ratio_of_means(OWN, OTHERS) == pytest.approx([1.5, 2.8])
    assert statistics.mean_of_ratios(OWN, OTHERS) == pytest.approx([5 / 3, 2.0])
    ratios = [[4 / 3, 2, math.nan], [2, 2, math.nan]]
    assert statistics.per_sample(OWN, OTHERS) == pytest.approx(np.array(ratios), nan_ok=True)
    assert statistics.undefined_share(OTHERS) == pytest.approx([1 / 3, 1 / 3])
    assert statistics.accuracy(OWN, 10) == pytest.approx([15 / 30, 14 / 30])
    assert statistics.accuracy(OTHERS, 10) == pytest.approx([20 / 60, 10 / 60])
    assert statistics.difference(OWN, OTHERS, 10) == pytest.approx([5 / 30, 9 / 30])


@given(st.lists(st.integers(0, 12), min_size=2, max_size=8), st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_ratios_know_no_order_and_are_one_against_oneself(row, random):
    """To the bit, for any counts and any number of copies of a model."""
    own = np.array([row])
    others = np.array([[random.choices(range(13), k=len(row))] for _ in range(3)])
    order = random.sample(range(len(row)), len(row))
    for estimate in (statistics.ratio_of_means, statistics.mean_of_ratios):
        a, b = estimate(own, others), estimate(own[:, order], others[::-1][:, :, order])
        assert a == pytest.approx(b, nan_ok=True)
        assert not own.any() or estimate(own, np.stack([own] * 3)) == 1


def test_the_mean_of_ratios_is_another_with_every_seed():
    """Seven models drawn alike, which differ sample by sample; samples from sure to hopeless, as at
    a large tau. One model over twenty seeds of copies: its mean of ratios ranges over 0.3 and more,
    five times as far as its ratio of means; over many such models it is above 1, which that isn't.
    """
    rng = np.random.default_rng(0)
    ease = rng.normal(-4, 3, 60)

    def measured(chance):
        hits = rng.binomial(100, chance, (7, 1, 60))
        both = statistics.mean_of_ratios, statistics.ratio_of_means
        return [estimate(hits[0], hits[1:]).item() for estimate in both]

    def models():
        return 1 / (1 + np.exp(-ease - rng.normal(0, 1.5, (7, 1, 60))))

    one = models()
    means, ratios = np.array([measured(one) for _ in range(20)]).T
    assert np.ptp(means) > max(0.3, 5 * np.ptp(ratios))
    means, ratios = np.array([measured(models()) for _ in range(200)]).T
    assert means.mean() > 1.2
    assert ratios.mean() == pytest.approx(1, abs=0.05)
