"""Verdicts: by hand, on made-up worlds, and in a sentence."""

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rurklib.residual.verdict import NO_VERDICT, NONE, OVER, RESIDUAL, STATISTICS, combined, judge

MARGIN, SCALED, SOFT, HITS, FIRST_HITS = STATISTICS
Phi = stats.norm.cdf


def of_models(hits, margins=None, draws=10, **options):
    """The verdict on the first of models: hits, margins [model, tau, sample]."""
    hits = np.array(hits)
    margins = hits / 2 if margins is None else np.array(margins)
    return judge(hits[0], margins[0], hits[1:], margins[1:], draws, **options)


def test_margins_by_hand():
    """References' mean margins 1, 2, 3, the model's 10: difference 8, t = 8 / sqrt(4 / 3) at 2 df;
    the effect's interval is 8 +- 4.303 / sqrt(3). Fails if the copies' or samples' spread counts in
    the interval, or if a detectable effect is at another level than a fifth of the rule's."""
    margins = np.array([10.0, 1, 2, 3])[:, None, None] + np.array([[-1.0, 1.0], [-3.0, 3.0]])
    same = [[[5, 5], [5, 5]]] * 4
    verdict = of_models(same, margins)
    p = 2 * stats.t.sf(8 / np.sqrt(4 / 3), 2)
    assert verdict.p_values[MARGIN] == pytest.approx(p)
    assert verdict.p == combined(list(verdict.p_values.values()))
    assert math.isnan(verdict.p_values[HITS])  # all alike
    assert (verdict.finding, verdict.references, verdict.effect) == (RESIDUAL, 3, 8)
    half = stats.t.ppf(0.975, 2) / np.sqrt(3)
    assert (verdict.low, verdict.high) == pytest.approx((8 - half, 8 + half))
    shift = verdict.detectable_margin / np.sqrt(4 / 3)
    assert stats.nct.sf(stats.t.ppf(0.995, 2), 2, shift) == pytest.approx(0.8, abs=1e-3)
    assert of_models(same, margins, level=0.01).finding == NONE
    # every model's deviation over samples is 2 sqrt(2) here, so scaling changes nothing
    assert verdict.p_values[SCALED] == pytest.approx(p)
    # with its margins twice as spread, the model's 10 become 5, in the references' deviations
    margins[0] = 10 + 2 * (margins[0] - 10)
    scaled = of_models(same, margins)
    assert scaled.shifts[SCALED] == pytest.approx(3 / (2 * np.sqrt(2)))
    assert scaled.p_values[SCALED] == pytest.approx(2 * stats.t.sf(3 / np.sqrt(4 / 3), 2))


def test_hits_by_hand():
    """Two samples, ten draws. Log-odds with half a sample: m log(2.3 / 0.7) at both taus;
    references log(1.4 / 1.6), log(1.5 / 1.5), log(1.6 / 1.4)."""
    hits = [[[9, 9]] * 2, [[4, 5]] * 2, [[5, 5]] * 2, [[6, 5]] * 2]
    verdict, s = of_models(hits), np.log(1.6 / 1.4)  # the references' odds are -s, 0, s
    t = np.log(2.3 / 0.7) / (s * np.sqrt(4 / 3))
    for name in (HITS, FIRST_HITS):
        assert verdict.p_values[name] == pytest.approx(2 * stats.t.sf(t, 2))
        assert verdict.shifts[name] == pytest.approx(np.log(2.3 / 0.7))
    assert verdict.detectable_ratio == math.inf  # not even a model that is always right
    hits = [[[9, 9]] * 2, *([[4 + k / 10, 5]] * 2 for k in (9, 10, 11))]
    assert 1 < of_models(hits).detectable_ratio < 1.2


SCATTER = np.array([0.0, 1.0, -1.2, 0.4, -0.3, 0.7, -0.8])  # the model first, six references
OTHERWISE = SCATTER[[0, 3, 1, 6, 4, 5, 2]]
OF_MARGINS, OF_HITS = (MARGIN, SCALED, SOFT), (HITS, FIRST_HITS)


@pytest.mark.parametrize(
    ("lead", "finding", "leading", "mixed"),
    [  # the model's lead in hits at the first tau, at the others, and in margins
        ((0, 0, 0), NONE, (MARGIN,), False),
        ((0, 0, 9), RESIDUAL, OF_MARGINS, False),
        ((0, 0, -9), OVER, OF_MARGINS, False),
        ((9, 9, 0), RESIDUAL, OF_HITS, False),
        ((9, 0, 0), RESIDUAL, (FIRST_HITS,), False),
        ((-9, 0, 0), OVER, (FIRST_HITS,), False),
        ((9, 9, -15), OVER, OF_MARGINS, True),
        ((15, 15, -9), RESIDUAL, OF_HITS, True),
        ((2, 2, -9), OVER, OF_MARGINS, False),
    ],
)
def test_a_finding_is_told_by_a_number_on_its_side(lead, finding, leading, mixed):
    """Three taus; the references' hits scatter by three in a hundred draws, their margins by 0.1.
    Fails if a model is said to know more because its margin, which it isn't found by, is lower, or
    if the side is that of another statistic than the least p's."""
    hits = 50 + np.round(3 * OTHERWISE)[:, None, None] + np.zeros((7, 3, 40))
    hits[0] += 3 * np.array([lead[0], lead[1], lead[1]])[:, None]
    margins = 0.1 * SCATTER[:, None, None] + np.linspace(-2, 2, 40) + np.zeros((7, 3, 1))
    margins[0] += 0.1 * lead[2]
    verdict = of_models(hits, margins, draws=100)
    assert (verdict.finding, verdict.mixed) == (finding, mixed)
    assert verdict.leading in leading
    if finding != NONE:
        assert (verdict.shifts[verdict.leading] > 0) == (finding == RESIDUAL)
    if verdict.leading in OF_HITS:
        (times,) = re.findall(r"(\S+) times", str(verdict))
        assert float(times) == pytest.approx(math.exp(verdict.shifts[verdict.leading]), rel=0.01)


def test_a_class_that_was_forgotten():
    """No reference ever says y: every ratio is undefined, and verdicts work."""
    hits = np.zeros((7, 3, 40), int)
    margins = SCATTER[:, None, None] + np.linspace(-9, -5, 40) + np.zeros((7, 3, 1))
    forgotten = of_models(hits, margins)
    assert forgotten.finding == NONE
    assert math.isnan(forgotten.detectable_ratio)
    hits[0, :, :12], margins[0] = 9, 1
    assert of_models(hits, margins).finding == RESIDUAL


@given(st.integers(1, 8), st.sampled_from([0.0, 1e-12]), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_too_few_references_and_copies_of_one_give_no_verdict(k, jitter, seed):
    """Whatever the model does: copies of one model can't show how much re-trained ones differ.
    Fails if a spread of nothing is believed, or a floor is put below it."""
    rng = np.random.default_rng(seed)
    hits = np.repeat(rng.integers(5, 15, (1, 2, 5)), k + 1, 0)
    margins = rng.normal(size=(1, 2, 5)) + (jitter if k > 2 else 1) * rng.normal(size=(k + 1, 2, 5))
    hits[0], margins[0] = rng.integers(0, 21, (2, 5)), rng.normal(2, 3, (2, 5))
    verdict = of_models(hits, margins, draws=20)
    assert (verdict.finding, verdict.mixed) == (NO_VERDICT, False)
    assert math.isnan(verdict.p)
    assert verdict.note


@pytest.mark.parametrize("shares", [[0.01], [0.01, 0.01, 0.01], [0.02, 0.9], [1e-9, 0.4]])
def test_one_p_of_several(shares):
    """Equal ones stay; one of n below level / n is enough; a silent one takes nothing away."""
    p = combined(shares)
    assert min(shares) <= p * (1 + 1e-9) <= len(shares) * min(shares) * (1 + 1e-9)
    assert combined([*shares, np.nan]) == p
    assert combined([*shares[:-1], shares[-1] / 2]) < p
    assert np.isnan(combined([np.nan]))
    assert combined([0.7, 0.9]) == 0.7


# --- made-up worlds ------------------------------------------------------------------------------

TAUS, DRAWS, SAMPLES = (0.5, 1.0, 1.5), 100, 100


def world(rng, k, shift=0.0, ease=0.4, more=1.0):
    """The verdict on a model that scores ``shift`` higher than k references drawn alike; its
    margins are ``more`` times what they would be."""
    scores = ease + rng.standard_normal(SAMPLES) + 0.1 * rng.standard_normal((k + 1, 1))
    scores = scores + 0.3 * rng.standard_normal((k + 1, SAMPLES))
    scores[0] += shift
    tau = np.array(TAUS)[:, None]
    hits = rng.binomial(DRAWS, Phi(scores[:, None] / tau))
    margins = scores[:, None] + tau * rng.standard_normal(hits.shape) / np.sqrt(DRAWS)
    margins[0] *= more
    return of_models(hits, margins, DRAWS)


def share(verdicts, finding=RESIDUAL):
    return np.mean([verdict.finding == finding for verdict in verdicts])


@pytest.mark.parametrize("k", [3, 6])
def test_false_alarms_are_rare(k):
    """m drawn like a reference: an alarm in 5 % of 600 worlds at most, give or take two standard
    errors (1.8 %), on both sides. Fails with a normal quantile (K = 3: 15 %), or a test per tau."""
    rng = np.random.default_rng(7)
    verdicts = [world(rng, k) for _ in range(600)]
    assert share(verdicts, NONE) >= 0.95 - 0.018
    assert share(verdicts) > 0 < share(verdicts, OVER)


def test_a_planted_ratio_is_found():
    """A ratio of 1.2 on 100 samples, six references: found in 80 % of 300 worlds at least."""
    rng, shift = np.random.default_rng(8), 0.491
    spread = np.sqrt(1 + 0.1**2 + 0.3**2 + np.array(TAUS) ** 2)
    planted = Phi((0.4 + shift) / spread).mean() / Phi(0.4 / spread).mean()
    assert planted == pytest.approx(1.2, abs=0.005)
    assert share([world(rng, 6, shift) for _ in range(300)]) >= 0.8
    assert share([world(rng, 6, -shift) for _ in range(100)], OVER) >= 0.8


def test_the_detectable_effect_is_found_in_80_percent():
    """A model shifted by the *true* detectable margin is found by the margin alone in about 80 %,
    and the run's own ``detectable_margin`` is near it. 400 worlds."""
    rng = np.random.default_rng(9)
    luck = np.sqrt(0.1**2 + 0.3**2 / SAMPLES)
    shift = 5.167 * luck * np.sqrt(1 + 1 / 6)
    edge = stats.t.ppf(0.995, 5)
    assert stats.nct.sf(edge, 5, 5.167) == pytest.approx(0.8, abs=0.01)
    verdicts = [world(rng, 6, shift) for _ in range(400)]
    heard = np.mean([v.p_values[MARGIN] < 0.05 / 5 for v in verdicts])
    assert heard == pytest.approx(0.8, abs=0.06)
    assert share(verdicts) >= heard
    # the mean of s over sigma at 5 df is 0.952
    detectable = np.mean([v.detectable_margin for v in verdicts])
    assert detectable == pytest.approx(0.952 * shift, rel=0.05)


@given(st.integers(0, 9999), st.integers(1, 8), st.sampled_from([0, 0.5, -0.5, 5, 1e4]))
@settings(max_examples=100, deadline=None)
def test_a_verdict_is_a_sentence_of_at_most_thirty_words(seed, k, shift):
    rng = np.random.default_rng(seed)
    words = str(world(rng, k, shift, more=rng.choice([-1, 1, 3]))).split()
    assert len(words) <= 30
    assert [word for word in words if word.endswith(".")] == words[-1:]
