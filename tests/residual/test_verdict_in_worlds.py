"""Verdicts in worlds with a known answer: false alarms, power, and confidence that is no memory.

In a world, sample i has a score b_i + a_k + e_ki for model k, a copy at tau moves it by tau times a
standard normal, and y is the answer where the score is positive: Pr = Phi(score / tau), and the
mean margin is the score. That is a linear model of two classes under Gaussian noise.
"""

import numpy as np
import pytest
from scipy import stats

from rurklib.residual.uncertainty import held_out
from rurklib.residual.verdict import TESTS, judge

Phi = stats.norm.cdf
TAUS, DRAWS, SAMPLES = (0.5, 1.0, 1.5), 100, 100


def judged(scores, rng, **options):
    """Verdict on model 0 of ``scores`` [model, sample] against the others."""
    tau = np.array(TAUS)[:, None]
    hits = rng.binomial(DRAWS, Phi(scores[:, None] / tau))
    margins = scores[:, None] + tau * rng.standard_normal(hits.shape) / np.sqrt(DRAWS)
    return judge(
        (hits[0], hits[1:]),
        held_out(hits[1:]),
        DRAWS,
        (margins[0], margins[1:]),
        held_out(margins[1:]),
        **options,
    )


def scores(rng, k, shift=0.0, n=SAMPLES):
    """Scores of a model and k references; the model's are ``shift`` higher."""
    s = 0.4 + rng.standard_normal(n) + 0.1 * rng.standard_normal((k + 1, 1))
    s = s + 0.3 * rng.standard_normal((k + 1, n))
    s[0] += shift
    return s


@pytest.mark.parametrize("test", TESTS)
@pytest.mark.parametrize("k", [3, 6])
def test_false_alarms_are_rare(test, k):
    """m drawn like a reference: an alarm in 5 % of 400 worlds, give or take its own error (two
    standard errors: 2.2 %). Fails with a normal quantile (K = 3: 15 %), or a test per tau."""
    rng = np.random.default_rng(7)
    found = [judged(scores(rng, k), rng, test=test).finding for _ in range(400)]
    assert found.count("none detected") >= 400 * (0.95 - 0.022)
    assert set(found) == {"none detected", "residual knowledge", "over-forgotten"}


@pytest.mark.parametrize("test", TESTS)
def test_a_planted_ratio_is_found(test):
    """A ratio of 1.2 on 100 samples, six references: found in 80 % of 400 worlds at least."""
    rng = np.random.default_rng(8)
    shift = 0.491
    spread = np.sqrt(1 + 0.1**2 + 0.3**2 + np.array(TAUS) ** 2)
    planted = Phi((0.4 + shift) / spread).mean() / Phi(0.4 / spread).mean()
    assert planted == pytest.approx(1.2, abs=0.005)
    verdicts = [judged(scores(rng, 6, shift), rng, test=test) for _ in range(400)]
    assert np.mean([v.finding == "residual knowledge" for v in verdicts]) >= 0.8
    if test == "hits":
        assert np.mean([v.effect for v in verdicts]) == pytest.approx(planted, abs=0.01)
    verdicts = [judged(scores(rng, 6, -shift), rng, test=test) for _ in range(100)]
    assert np.mean([v.finding == "over-forgotten" for v in verdicts]) >= 0.8


def test_the_detectable_effect_is_found_in_80_percent():
    """A model shifted by the *true* detectable margin is found in about 80 %, and the run's own
    ``detectable_margin`` is near it. 400 worlds."""
    rng = np.random.default_rng(9)
    luck = np.sqrt(0.1**2 + 0.3**2 / SAMPLES)
    shift = 3.514 * luck * np.sqrt(1 + 1 / 6)  # noncentral t, 5 df: see test_uncertainty
    verdicts = [judged(scores(rng, 6, shift), rng, test="margin") for _ in range(400)]
    assert np.mean([v.finding == "residual knowledge" for v in verdicts]) == pytest.approx(
        0.8, abs=0.06
    )
    # the mean of s over sigma at 5 df is 0.952
    assert np.mean([v.detectable_margin for v in verdicts]) == pytest.approx(
        0.952 * shift, rel=0.05
    )


def test_more_confidence_is_not_memory():
    """The model is a reference with its logits times 1.6: the same hits. The margin raises an
    alarm, and so does the rule, which says what it may be; hits don't. The price of hearing
    confidence."""
    rng = np.random.default_rng(10)
    found = {test: [] for test in TESTS}
    notes = []
    for _ in range(50):
        tau, s = np.array(TAUS)[:, None], scores(rng, 6) + 1.5
        hits = rng.binomial(DRAWS, Phi(s[:, None] / tau))
        margins = s[:, None] + tau * rng.standard_normal(hits.shape) / np.sqrt(DRAWS)
        margins[0] *= 1.6
        arguments = (hits[0], hits[1:]), held_out(hits[1:]), DRAWS, (margins[0], margins[1:])
        for test in TESTS:
            verdict = judge(*arguments, held_out(margins[1:]), test=test)
            found[test].append(verdict.finding == "residual knowledge")
            notes += [verdict.note] * (test == "joint" and found[test][-1])
    assert np.mean(found["margin"]) > 0.9
    assert np.mean(found["joint"]) > 0.9
    assert np.mean(found["scaled margin"]) < 0.15
    assert np.mean(found["hits"]) < 0.15
    assert np.mean(["may be confidence" in n for n in notes]) > 0.8
