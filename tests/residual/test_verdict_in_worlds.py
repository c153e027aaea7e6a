"""Verdicts in worlds with a known answer: false alarms, power, and confidence that is no memory.

In a world, sample i has a score b_i + a_k + e_ki for model k, a copy at tau moves it by tau times a
standard normal, and y is the answer where the score is positive: Pr = Phi(score / tau), and the
mean margin is the score. That is a linear model of two classes under Gaussian noise.
"""

import numpy as np
import pytest
from scipy import stats

from rurklib import Counts, ResidualKnowledge
from rurklib.residual.uncertainty import left_out
from rurklib.residual.verdict import TESTS, judge

Phi = stats.norm.cdf
TAUS, DRAWS, SAMPLES = (0.5, 1.0, 1.5), 100, 100


def judged(scores, rng, tests=TESTS, more=1.0):
    """Verdicts by test on model 0 of ``scores`` [model, sample] against the others; its margins are
    ``more`` times what they would be."""
    tau = np.array(TAUS)[:, None]
    hits = rng.binomial(DRAWS, Phi(scores[:, None] / tau))
    margins = scores[:, None] + tau * rng.standard_normal(hits.shape) / np.sqrt(DRAWS)
    margins[0] *= more
    known = (hits[0], hits[1:]), left_out(hits[1:]), DRAWS
    known += (margins[0], margins[1:]), left_out(margins[1:])
    return {test: judge(*known, test=test) for test in tests}


def found(worlds, test, finding="residual knowledge"):
    """The share of worlds that have this finding."""
    return np.mean([verdicts[test].finding == finding for verdicts in worlds])


def scores(rng, k, shift=0.0, n=SAMPLES):
    """Scores of a model and k references; the model's are ``shift`` higher."""
    s = 0.4 + rng.standard_normal(n) + 0.1 * rng.standard_normal((k + 1, 1))
    s = s + 0.3 * rng.standard_normal((k + 1, n))
    s[0] += shift
    return s


@pytest.mark.parametrize("k", [3, 6])
def test_false_alarms_are_rare(k):
    """m drawn like a reference: an alarm in 5 % of 400 worlds, give or take its own error (two
    standard errors: 2.2 %). Fails with a normal quantile (K = 3: 15 %), or a test per tau."""
    rng = np.random.default_rng(7)
    worlds = [judged(scores(rng, k), rng) for _ in range(400)]
    for test in TESTS:
        assert found(worlds, test, "none detected") >= 0.95 - 0.022, test
        assert found(worlds, test) > 0 < found(worlds, test, "over-forgotten"), test


def test_a_planted_ratio_is_found():
    """A ratio of 1.2 on 100 samples, six references: found in 80 % of 400 worlds at least."""
    rng = np.random.default_rng(8)
    shift = 0.491
    spread = np.sqrt(1 + 0.1**2 + 0.3**2 + np.array(TAUS) ** 2)
    planted = Phi((0.4 + shift) / spread).mean() / Phi(0.4 / spread).mean()
    assert planted == pytest.approx(1.2, abs=0.005)
    higher = [judged(scores(rng, 6, shift), rng) for _ in range(400)]
    assert np.mean([v["hits"].effect for v in higher]) == pytest.approx(planted, abs=0.01)
    lower = [judged(scores(rng, 6, -shift), rng) for _ in range(100)]
    for test in TESTS:
        assert found(higher, test) >= 0.8, test
        assert found(lower, test, "over-forgotten") >= 0.8, test


def test_the_detectable_effect_is_found_in_80_percent():
    """A model shifted by the *true* detectable margin is found in about 80 %, and the run's own
    ``detectable_margin`` is near it. 400 worlds."""
    rng = np.random.default_rng(9)
    luck = np.sqrt(0.1**2 + 0.3**2 / SAMPLES)
    shift = 3.514 * luck * np.sqrt(1 + 1 / 6)  # noncentral t, 5 df: see test_uncertainty
    worlds = [judged(scores(rng, 6, shift), rng, ["margin"]) for _ in range(400)]
    assert found(worlds, "margin") == pytest.approx(0.8, abs=0.06)
    # the mean of s over sigma at 5 df is 0.952
    detectable = np.mean([v["margin"].detectable_margin for v in worlds])
    assert detectable == pytest.approx(0.952 * shift, rel=0.05)


def test_more_confidence_is_not_memory():
    """The model is a reference with its logits times 1.6: the same hits. The margin raises an
    alarm, and so does the rule, which says what it may be; hits don't. The price of hearing
    confidence."""
    rng = np.random.default_rng(10)
    worlds = [judged(scores(rng, 6) + 1.5, rng, more=1.6) for _ in range(50)]
    assert found(worlds, "margin") > 0.9
    assert found(worlds, "joint") > 0.9
    assert found(worlds, "scaled margin") < 0.15
    assert found(worlds, "hits") < 0.15
    alarms = [v["joint"] for v in worlds if v["joint"].finding == "residual knowledge"]
    assert np.mean(["may be confidence" in v.note for v in alarms]) > 0.8


@pytest.mark.parametrize("test", ["margin", "scaled margin", "hits", "joint"])
def test_a_number_is_on_the_side_of_its_finding_where_copies_are_searched_for(test):
    """Each model loses 2 logits on copies found on itself, and none on others' copies; the model
    knows 1 more than re-trained ones. Fails if what a search gains is taken for a lack of
    knowledge: the plain distance is -1."""
    rng = np.random.default_rng(0)
    names = ("m", *(f"r{i}" for i in range(6)))
    knows = np.array([1.0, *rng.normal(0, 0.1, 6)])[:, None, None] + rng.normal(0, 2, 60)
    counts = {}
    for i, name in enumerate(names):
        margins = knows + rng.normal(0, 0.2, (7, 3, 60))
        margins[i] -= 2
        hits = rng.binomial(50, 1 / (1 + np.exp(-margins)))
        counts[name] = Counts(hits, names, (0.1, 0.2, 0.3), 50, "pgd", 0, margins, name)
    verdict = ResidualKnowledge(counts, ("m",), names[1:], True).judge("m", test=test)
    assert verdict.finding == "residual knowledge"
    assert verdict.gained
    nothing, wanted = (1.0, 1.3) if verdict.unit == "ratio" else (0.0, 1.0)
    assert verdict.effect == pytest.approx(wanted, abs=0.25)
    assert nothing < verdict.low < verdict.effect < verdict.high
    assert "re-trained models on copies found on themselves" in str(verdict)
    if test == "margin":
        assert verdict.effect == pytest.approx(verdict.shift)
