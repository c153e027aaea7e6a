"""Intervals and predictions: by hand, against scipy, and by how often they hold in made-up worlds.

All functions work tau by tau, so the tau axis carries the worlds: a thousand cost one call.

A world: sample i is recognised by model k with probability Phi(b_i + a_k + e_ki), where a_k is the
luck of a training (sd ``luck``), e_ki its luck with one sample, and hits are binomial.
"""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from rurklib.residual import statistics
from rurklib.residual.statistics import (
    by_p,
    log_odds,
    p_value,
    placement,
    predict,
    spread,
)

Phi = stats.norm.cdf
WORLDS, DRAWS = 1000, 100


def make_worlds(k, n, *, luck=0.15, own_luck=0.3, shift=0.3, seed=0):
    """own [world, n], others [k, world, n], and the true accuracies of m and of re-training, for
    one forget set. m is one fixed model, ``shift`` better than the average re-trained one."""
    rng, worlds = np.random.default_rng([seed, k, n]), WORLDS
    ability = 1 + rng.standard_normal((1, n))
    a = luck * rng.standard_normal((k, worlds, 1))
    e = own_luck * rng.standard_normal((k, worlds, n))
    p_own = Phi(ability + shift + own_luck * rng.standard_normal(ability.shape))
    others = rng.binomial(DRAWS, Phi(ability + a + e))
    own = rng.binomial(DRAWS, np.broadcast_to(p_own, (worlds, n)))
    truth = p_own.mean(), Phi(ability / np.sqrt(1 + luck**2 + own_luck**2)).mean()
    return own, others, *truth


@pytest.mark.parametrize("k", [3, 6, 10])
@pytest.mark.parametrize("n", [10, 30, 100])
def test_intervals_cover_95_percent(n, k):
    """Fails if a part of the variance is left out or counted twice, or if all parts get the normal
    quantile (K = 3: 80 %)."""
    own, others, p_own, p_others = make_worlds(k, n)
    ratio = statistics.ratio_interval(own, others, DRAWS)
    difference = statistics.difference_interval(own, others, DRAWS)
    for (low, high), truth in ((ratio, p_own / p_others), (difference, p_own - p_others)):
        assert 0.93 <= np.mean((low <= truth) & (truth <= high)) <= 0.97
        assert np.mean(truth < low) < 0.05  # and misses on both sides
        assert np.mean(truth > high) < 0.05


def test_shared_copies_make_intervals_no_narrower_than_needed():
    """The same noise for all models, as it is measured: part of it cancels, so coverage is above
    95 %, never below 93 %."""
    rng = np.random.default_rng(0)
    k, worlds, n = 6, 300, 30
    ability = 1 + rng.standard_normal(n)
    chance = Phi(ability + 0.15 * rng.standard_normal((k + 1, worlds, 1)))
    p_own = Phi(ability + 0.3)
    chance[0] = p_own
    copies = rng.random((1, worlds, n, DRAWS))
    hits = np.stack([(copies[0] < c[..., None]).sum(-1) for c in chance])
    low, high = statistics.ratio_interval(hits[0], hits[1:], DRAWS)
    truth = p_own.mean() / Phi(ability / np.sqrt(1 + 0.15**2)).mean()
    assert np.mean((low <= truth) & (truth <= high)) >= 0.93


@pytest.mark.parametrize("k", [3, 6, 10])
def test_a_further_reference_falls_into_its_prediction(k):
    """m is drawn like a reference, so 95 % of worlds hold it, and p is uniform. Fails without the
    factor sqrt(1 + 1 / k) (K = 3: 92 %), or with the normal quantile."""
    rng = np.random.default_rng(k)
    ability = 1 + rng.standard_normal(50)
    luck = 0.15 * rng.standard_normal((k + 1, WORLDS, 1))
    hits = rng.binomial(DRAWS, Phi(ability + luck + 0.3 * rng.standard_normal((k + 1, WORLDS, 50))))
    pair = hits[0], hits[1:]
    columns = statistics.hits_against_null(pair, statistics.left_out(hits[1:]), DRAWS)
    ratio, p = statistics.ratio_of_means(*pair), columns["p_value"]
    inside = (columns["predict_low"] <= ratio) & (ratio <= columns["predict_high"])
    assert 0.93 <= inside.mean() <= 0.97
    assert np.array_equal(inside, p >= 0.05)  # one statement, in two columns
    assert stats.kstest(p, "uniform").pvalue > 0.001


def test_a_prediction_by_hand():
    """References 1, 2, 3: mean 2, s = 1; t is 4.3027 at 2 df. The model, 10, is 8 above: t =
    8 / sqrt(4/3). Fails if held-out deviations (1.5 times those from the mean) aren't shrunk."""
    margins = np.array([1.0, 2.0, 3.0])[:, None, None], np.array([[10.0]])
    others, own = margins
    columns = statistics.margins_against_null((own, others), statistics.left_out(others))
    reach = 4.302653 * np.sqrt(4 / 3)
    assert columns["margin"] == 10
    assert columns["margin_difference"] == pytest.approx(8)
    assert columns["margin_predict_low"] == pytest.approx(-reach, rel=1e-6)
    assert columns["margin_predict_high"] == pytest.approx(reach, rel=1e-6)
    assert columns["margin_sd"] == pytest.approx(8)
    deviations = statistics.deviations(
        lambda m: m.mean(-1), (own, others), statistics.left_out(others)
    )
    assert p_value(*deviations) == pytest.approx(2 * stats.t.sf(8 / np.sqrt(4 / 3), 2))


def test_an_advantage_on_own_copies_is_no_memory():
    """Under a gradient law every model is probed on copies found on itself, and does 2 better on
    them. A further reference would as well. Fails if the prediction is centred on 0."""
    level = [0.1, -0.2, 0.05, 0.15]

    def pair(me, rest):
        return np.array([[level[me] + 2]]), np.array([[[level[r]]] for r in rest])

    null = [pair(k, [r for r in (0, 1, 2) if r != k]) for k in (0, 1, 2)]
    own, below = statistics.deviations(lambda m: m.mean(-1), pair(3, (0, 1, 2)), null)
    assert own == pytest.approx(2 + 0.15 + 0.05 / 3)
    assert spread(below)[0] == pytest.approx(2)
    assert p_value(own, below) > 0.3


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


def test_no_copies_no_copies_noise():
    """At tau = 0 all draws are alike: only the references differ, by half a sample or more. Fails
    if a 0-or-10 count gets binomial noise, or references that agree to the sample are taken for
    certain. And margins (``draws=1``) get neither."""
    own, others = np.array([[10, 0, 10]]), np.array([[[10, 0, 0]]] * 3)
    low, high = statistics.difference_interval(own, others, 10)
    half = stats.t.ppf(0.975, 2) * 0.5 / 3 / np.sqrt(3)
    assert (low, high) == pytest.approx((1 / 3 - half, 1 / 3 + half))
    low, high = statistics.ratio_interval(own, others, 10)
    assert (np.log(low), np.log(high)) == pytest.approx(
        (np.log(2) - 3 * half, np.log(2) + 3 * half)
    )
    low, high = statistics.difference_interval(own + 0.5, others)
    assert low == high == pytest.approx(10 / 3 + 0.5)


def test_a_ratio_of_zero_and_an_undefined_one():
    """Never recognised: 0 ... -log(0.025) / 30 copies / 0.5. No reference ever does: NaN, but the
    difference stays."""
    some, never = np.array([[[5, 5, 5]]] * 3), np.zeros((3, 1, 3), int)
    low, high = statistics.ratio_interval(np.zeros((1, 3), int), some, 10)
    assert low == 0
    assert high == pytest.approx(-np.log(0.025) / 30 / 0.5)
    assert np.isnan(statistics.ratio_interval(np.array([[5, 5, 0]]), never, 10)).all()
    low, high = statistics.difference_interval(np.array([[5, 5, 0]]), never, 10)
    assert low < 1 / 3 < high
    columns = statistics.hits_against_null(
        (np.array([[5, 5, 0]]), never), statistics.left_out(never), 10
    )
    assert np.isnan([columns["predict_low"], columns["predict_high"]]).all()
    assert 0 < columns["p_value"] < 1


@pytest.mark.parametrize("k", [1, 2])
def test_fewer_than_three_references_say_nothing(k):
    own, others = np.array([[8, 9]]), np.arange(2 * k).reshape(k, 1, 2) + 4
    null = statistics.left_out(others)
    assert np.isnan(statistics.ratio_interval(own, others, 10)).all()
    columns = statistics.hits_against_null((own, others), null, 10)
    assert np.isnan(list(columns.values())).all()
    columns = statistics.margins_against_null((own, others), null)
    assert columns["margin"] == 8.5
    assert np.isnan(columns["margin_predict_low"]).all()
    _, below = statistics.deviations(lambda m: m.mean(-1), (own, others), null)
    assert np.isnan(statistics.detectable(below)).all()


def test_log_odds_and_back():
    """Half a sample is added: 3 of 4 samples are log(3.5 / 1.5). All and none are finite."""
    hits = np.array([[10, 10, 10, 0], [0, 0, 0, 0], [10, 10, 10, 10]])
    odds = log_odds(hits, 10)
    assert odds == pytest.approx(np.log([3.5 / 1.5, 0.5 / 4.5, 4.5 / 0.5]))
    assert statistics.accuracy_of(odds, 4) == pytest.approx([0.75, 0, 1])
    assert statistics.accuracy_of(np.array([-50.0, 50.0]), 4) == pytest.approx([0, 1])


@pytest.mark.parametrize(("samples", "missed", "others_too"), [(45, 0, 30), (71, 8, 8)])
def test_references_that_agree_do_not_convict(samples, missed, others_too):
    """Six references are right on all 45 images, and the model misses one of them; or all of them
    miss the same 8 of 71, and the model 7 of these. A seventh might have done so as well (Laplace:
    1 in 8). Fails if their agreement counts as certainty: p was 0 then."""
    others = np.full((6, 1, samples), 10)
    others[:, 0, :missed] = 0

    def where_the_first_differ(n):
        own = others[0].copy()
        own[0, :n] = 10 - own[0, :n]
        return statistics.hits_against_null((own, others), statistics.left_out(others), 10)

    columns = where_the_first_differ(1)
    assert columns["predict_low"] < 1 <= columns["predict_high"]
    assert columns["p_value"] > 0.1
    assert where_the_first_differ(others_too)["p_value"] < 0.01


def test_least_spread_is_for_rare_events_and_whole_samples():
    """45 samples x 100 copies: rare below 5 misses of 4,500 copies; and wherever draws are alike
    (the hits are then 0 or 100), for then an accuracy is a whole number of samples."""
    mixed = np.full((3, 1, 45), 100)
    mixed[:, 0, 0] = 50  # 50 misses in 4,500
    assert statistics.least_spread(mixed, 100) == 0
    mixed[:, 0, 0] = 97
    assert statistics.least_spread(mixed, 100) > 0
    alike = np.full((3, 1, 45), 100)
    alike[:, 0, :2] = 0  # 2 misses in 45
    p = 43.5 / 46
    assert statistics.least_spread(alike, 100) == pytest.approx(0.5 / (46 * p * (1 - p)))
    alike[:, 0, :20] = 0
    p = 25.5 / 46
    assert statistics.least_spread(alike, 100) == pytest.approx(0.5 / (46 * p * (1 - p)))
    assert statistics.least_spread(100 - mixed, 100) > 0  # few hits are as rare as few misses


def test_what_a_further_reference_would_gain_ends_at_always_right():
    """Under a gradient law a reference gains on copies of its own: here 40 hits of 40 against 20.
    Added to the 39 that references have on the model's copies, that would be beyond 40 of 40. A
    model that is always right is where a further one would be. Fails if the prediction reaches
    beyond what any model can have: such a model was significantly *below* it."""
    always = np.full((1, 40), 1)
    most, half = (np.array([[1] * n + [0] * (40 - n)]) for n in (39, 20))
    others = np.stack([most] * 3)
    theirs = [(always, np.stack([half] * 2))] * 3
    columns = statistics.hits_against_null((always, others), theirs, 1)
    assert columns["p_value"] == pytest.approx(1)
    assert columns["predict_high"] == pytest.approx(40 / 39)
    nothing = [(most, np.stack([most] * 2))] * 3  # no gain: nothing is cut off
    own, below = statistics.odds_deviations((always, others), nothing, 1)
    assert below == pytest.approx(0)
    assert own == pytest.approx(np.log(81) - np.log(39.5 / 1.5))


@pytest.mark.parametrize("k", [3, 6, 20])
def test_the_detectable_shift_is_found_in_80_percent(k):
    """Against scipy's noncentral t. Fails without the factor sqrt(1 + 1 / k)."""
    below = np.r_[-1.0, np.ones(k - 1)][:, None] * k / (k - 1)
    below = below - below.mean(0)
    sd = np.std(below * (k - 1) / k, ddof=1) * np.sqrt(1 + 1 / k)
    shift = statistics.detectable(below)[0] / sd
    edge = stats.t.ppf(0.975, k - 1)
    assert stats.nct.sf(edge, k - 1, shift) == pytest.approx(0.8, abs=1e-4)
    low, high = predict(below)
    assert statistics.detectable(below) > (high - low) / 2  # more than is just significant


def test_many_references_are_held_out_one_at_a_time():
    """Fails if each is kept beside a copy of all the others: 60 times 60 of them."""
    others = np.random.default_rng(0).integers(0, 11, (60, 3, 1000))
    tracemalloc.start()
    statistics.hits_against_null((others[0], others), statistics.left_out(others), 10)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * others.nbytes


OWN = np.array([[10, 5, 0], [8, 2, 4]])
OTHERS = np.array([[[10, 0, 0], [4, 0, 0]], [[5, 5, 0], [4, 2, 0]]])


def test_ratio_of_means():
    """15 / 10 and 14 / 5. Fails if the ratios are averaged, or undefined samples are dropped."""
    assert statistics.ratio_of_means(OWN, OTHERS) == pytest.approx([1.5, 2.8])


def test_mean_of_ratios():
    """(10 / 7.5 + 5 / 2.5) / 2 and (8 / 4 + 2 / 1) / 2. Fails if an undefined sample counts as 0
    or 1, or if the references' ratios are averaged instead of the ratio to their mean."""
    assert statistics.mean_of_ratios(OWN, OTHERS) == pytest.approx([5 / 3, 2.0])


def test_per_sample():
    expected = [[4 / 3, 2, math.nan], [2, 2, math.nan]]
    assert statistics.per_sample(OWN, OTHERS) == pytest.approx(np.array(expected), nan_ok=True)


def test_undefined_share():
    """One sample of three is recognised by no reference. Fails if one reference's zero suffices
    (sample 1 is missed by reference 0 only)."""
    assert statistics.undefined_share(OTHERS) == pytest.approx([1 / 3, 1 / 3])


def test_accuracy():
    """15 of 30 and 14 of 30; the references' mean: 20 of 60 and 10 of 60."""
    assert statistics.accuracy(OWN, 10) == pytest.approx([15 / 30, 14 / 30])
    assert statistics.accuracy(OTHERS, 10) == pytest.approx([20 / 60, 10 / 60])


def test_nothing_is_defined_where_no_reference_recognises_anything():
    own, others = np.array([[3, 0]]), np.zeros((2, 1, 2), np.int64)
    assert np.isnan(statistics.ratio_of_means(own, others)).all()
    assert np.isnan(statistics.mean_of_ratios(own, others)).all()
    assert statistics.undefined_share(others) == 1


hits = st.lists(st.integers(0, 12), min_size=2, max_size=8)


@given(hits, st.integers(1, 5))
def test_a_model_against_itself_is_exactly_one(row, k):
    """m = a gives 1, to the bit, for any counts and any number of copies of a."""
    own = np.array([row])
    others = np.stack([own] * k)
    if own.any():
        assert statistics.ratio_of_means(own, others) == 1
        assert statistics.mean_of_ratios(own, others) == 1


@given(hits, st.randoms(use_true_random=False))
def test_the_order_of_samples_and_references_does_not_matter(row, random):
    own = np.array([row])
    others = np.array([[random.choices(range(13), k=len(row))] for _ in range(3)])
    order = random.sample(range(len(row)), len(row))
    for estimate in (statistics.ratio_of_means, statistics.mean_of_ratios):
        a = estimate(own, others)
        b = estimate(own[:, order], others[::-1][:, :, order])
        assert a == pytest.approx(b, nan_ok=True)


def test_difference_is_a_share_and_defined_where_no_ratio_is():
    """By hand: 6 of 10 and 2 of 10 against references at 0 and 0; then 4 of 10 on average."""
    own = np.array([[6, 2]])
    nothing = np.zeros((2, 1, 2), int)
    np.testing.assert_allclose(statistics.difference(own, nothing, 10), [0.4])
    assert np.isnan(statistics.ratio_of_means(own, nothing)).all()
    others = np.array([[[4, 8]], [[2, 2]]])
    np.testing.assert_allclose(statistics.difference(own, others, 10), [0.0], atol=1e-12)


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


def test_the_side_by_a_test():
    assert [by_p(d, p) for d, p in ((1, 0.049), (1, 0.05), (-1, 0.0), (1, math.nan))] == [
        "above", "inside", "below", "",
    ]  # fmt: skip
    assert by_p(1.0, 0.02, level=0.01) == "inside"
