"""Verdicts by hand, on linear models, and in words."""

import dataclasses
import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from rurklib import Counts, ResidualKnowledge, residual_knowledge
from rurklib.residual.statistics import left_out
from rurklib.residual.verdict import TESTS, Verdict, combined, judge

Phi = stats.norm.cdf


def by_hand(hits, margins=None, taus=(0.0, 0.1), draws=10, **options) -> ResidualKnowledge:
    hits = np.array(hits)
    margins = hits / 2.0 if margins is None else np.array(margins)
    names = ("m", *(f"r{k}" for k in range(len(hits) - 1)))
    counts = Counts(hits, names, taus, draws, "gaussian", 0, margins)
    return ResidualKnowledge(dict.fromkeys(names, counts), names[:1], names[1:], True, **options)


def test_a_margin_verdict_by_hand():
    """References' mean margins 1, 2, 3, the model's 10: difference 8, t = 8 / sqrt(4 / 3) at 2 df;
    the effect's interval is 8 +- 4.303 / sqrt(3); detectable 5.653 sqrt(4 / 3)."""
    margins = np.array([10.0, 1, 2, 3])[:, None, None] + np.array([[-1.0, 1.0], [-3.0, 3.0]])
    result = by_hand([[[5, 5], [5, 5]]] * 4, margins)
    verdict = result.judge("m", test="margin")
    assert verdict.finding == "residual knowledge"
    assert (verdict.test, verdict.level, verdict.references) == ("margin", 0.05, 3)
    assert verdict.p == pytest.approx(2 * stats.t.sf(8 / np.sqrt(4 / 3), 2))
    assert verdict.effect == pytest.approx(8)
    half = stats.t.ppf(0.975, 2) / np.sqrt(3)
    assert (verdict.low, verdict.high) == pytest.approx((8 - half, 8 + half))
    assert verdict.detectable_margin == pytest.approx(5.6535 * np.sqrt(4 / 3), rel=1e-3)
    assert result.frame.margin.tolist() == [10, 10]
    assert result.frame.margin_difference.tolist() == pytest.approx([8, 8])
    strict = result.judge("m", test="margin", level=0.01)
    assert strict.finding == "none detected"  # interval and detectable effect follow the level
    assert strict.low == pytest.approx(8 - stats.t.ppf(0.995, 2) / np.sqrt(3))
    assert strict.detectable_margin > 2 * verdict.detectable_margin
    # every model's deviation over samples is 2 sqrt(2) here, so scaling changes nothing
    scaled = result.judge("m", test="scaled margin")
    assert (scaled.p, scaled.effect) == pytest.approx((verdict.p, verdict.effect))
    # with its margins twice as spread, the model's 10 become 5, in the references' deviations
    margins[0] = 10 + 2 * (margins[0] - 10)
    scaled = by_hand([[[5, 5], [5, 5]]] * 4, margins).judge("m", test="scaled margin")
    assert scaled.effect == pytest.approx(3)
    assert scaled.p == pytest.approx(2 * stats.t.sf(3 / np.sqrt(4 / 3), 2))
    half = stats.t.ppf(0.975, 2) / np.sqrt(3)
    assert (scaled.low, scaled.high) == pytest.approx((3 - half, 3 + half))


def test_the_effects_interval_is_for_this_forget_set():
    """Margins of m are 1 above on one sample and 3 on the other, the references are 0 +- 0.1. Only
    the references are random. Fails if the samples' 2 +- 1 counts as well."""
    offsets = np.array([[2.0, 2], [-0.1, -0.1], [0, 0], [0.1, 0.1]])[:, None, :]
    margins = np.repeat(offsets + np.array([[[-1.0, 1]], [[0, 0]], [[0, 0]], [[0, 0]]]), 2, 1)
    hits = [[[5, 5], [5, 5]]] * 4
    verdict = by_hand(hits, margins).verdict
    references = stats.t.ppf(0.975, 2) * 0.1 / np.sqrt(3)
    assert (verdict.low, verdict.high) == pytest.approx((2 - references, 2 + references))


def test_a_hit_verdict_by_hand():
    """Two taus, two samples, ten draws. Log-odds with half a sample: m log(2.3 / 0.7) at both taus;
    references log(1.4 / 1.6), log(1.5 / 1.5), log(1.6 / 1.4)."""
    hits = [[[9, 9]] * 2, [[4, 5]] * 2, [[5, 5]] * 2, [[6, 5]] * 2]
    verdict = by_hand(hits).judge("m", test="hits")
    s = np.log(1.6 / 1.4)  # the references' odds are -s, 0, s
    t = np.log(2.3 / 0.7) / (s * np.sqrt(4 / 3))
    assert verdict.p == pytest.approx(2 * stats.t.sf(t, 2))
    assert verdict.effect == pytest.approx(1.8)
    # the effect's interval: accuracies 0.45, 0.5, 0.55, and 0.9 from ten draws of two samples
    part, copies = 0.05**2 / 3 / 0.5**2, 0.9 * 0.1 / 9 / 2 / 0.9**2
    half = stats.t.ppf(0.975, 2) * part + stats.norm.ppf(0.975) * copies
    half /= np.sqrt(part + copies)
    limits = np.log([verdict.low / 1.8, verdict.high / 1.8])
    assert limits == pytest.approx([-half, half])
    shifted = 5.6535 * s * np.sqrt(4 / 3)
    expected = ((3 / (1 + np.exp(-shifted)) - 0.5) / 2) / 0.5
    assert verdict.detectable_ratio == pytest.approx(expected, rel=1e-3)
    assert np.isnan(verdict.detectable_margin)
    # references three times as far apart: even ten hits of ten would be within reach of a fourth
    hits = [[[9, 9]] * 2, [[2, 5]] * 2, [[5, 5]] * 2, [[8, 5]] * 2]
    assert by_hand(hits).judge("m", test="hits").detectable_ratio == np.inf


def test_a_class_that_was_forgotten():
    """No reference ever says y: every ratio is undefined. Difference and verdict work."""
    rng = np.random.default_rng(0)
    hits = np.zeros((5, 2, 20), int)
    level = np.array([0.1, 0.5, -0.5, 0.2, -0.2])[:, None, None]
    margins = -8 + level + rng.standard_normal((2, 20))
    forgotten = by_hand(hits, margins)
    hits[0, :, :12], margins[0] = 9, 1 + rng.standard_normal((2, 20))
    knows = by_hand(hits, margins)
    for result in (forgotten, knows):
        frame = result.frame
        for column in ("ratio_of_means", "ratio_low", "ratio_high", "predict_low"):
            assert frame[column].isna().all(), column
        assert (frame.undefined_share == 1).all()
        assert not frame[["difference", "p_value", "margin_difference"]].isna().any().any()
    assert (forgotten.frame.difference == 0).all()
    assert forgotten.verdict.finding == "none detected"
    assert knows.frame.difference.tolist() == pytest.approx([0.54, 0.54])
    assert {knows.judge("m", test=t).finding for t in TESTS} == {"residual knowledge"}
    by_hits = knows.judge("m", test="hits")
    assert (by_hits.unit, by_hits.effect) == ("accuracy", pytest.approx(0.54))
    assert "+0.54" in str(by_hits)
    for test in TESTS[1:]:  # nothing is said to be within reach of what wasn't asked
        of_margins = "margin" in test or test.startswith("soft")
        asked = forgotten.judge("m", test=test)
        unasked = asked.detectable_ratio if of_margins else asked.detectable_margin
        assert np.isnan(unasked), test
    assert "ratio of" not in str(forgotten.verdict)
    assert np.isnan(forgotten.verdict.detectable_ratio)


@pytest.mark.parametrize("k", [1, 2])
def test_too_few_references_give_no_verdict(k):
    margins = np.arange(4.0 * (k + 1)).reshape(k + 1, 2, 2)
    result = by_hand([[[5, 5], [5, 5]]] * (k + 1), margins)
    for test in TESTS:
        verdict = result.judge("m", test=test)
        assert verdict.finding == "no verdict"
        assert np.isnan(verdict.p)
    few = "1 re-trained model can't" if k == 1 else "2 re-trained models can't"
    assert str(verdict).startswith(f"No verdict: {few}")
    assert result.frame[["ratio_low", "predict_low", "p_value"]].isna().all().all()


@given(st.integers(3, 8), st.sampled_from([0.0, 1e-12]), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_references_that_do_not_vary_give_no_verdict(k, jitter, seed):
    """Whatever the model does: copies of one model can't show how much re-trained ones differ.
    Fails if a spread of nothing is believed, or a floor is put below it."""
    rng = np.random.default_rng(seed)
    hits = np.repeat(rng.integers(5, 15, (1, 2, 5)), k + 1, 0)
    margins = rng.normal(size=(1, 2, 5)) + jitter * rng.normal(size=(k + 1, 2, 5))
    hits[0], margins[0] = rng.integers(0, 21, (2, 5)), rng.normal(2, 3, (2, 5))
    for test in ("joint", "hits"):
        verdict = by_hand(hits, margins, draws=20).judge("m", test=test)
        assert verdict.finding == "no verdict"
        assert np.isnan(verdict.p)
        assert "re-trained models give the same answers" in str(verdict)


def test_one_sample_of_many_does_not_convict():
    """References that are right on all copies, but one each: one image of 45 missed at both taus.
    Fails if their spread is believed where accuracies are whole numbers of samples."""
    hits = np.full((7, 2, 45), 10)
    hits[np.arange(1, 7), :, np.arange(6)] = 9
    hits[0, :, 0] = 0
    assert by_hand(hits).judge("m", test="hits").finding == "none detected"
    hits[0, :, :30] = 0
    assert by_hand(hits).judge("m", test="hits").finding == "over-forgotten"


def test_parts_that_disagree_are_told():
    """Hits far above, margins as the references': found, with a sentence on who says so."""
    rng = np.random.default_rng(1)
    hits = rng.integers(40, 60, (7, 2, 30))
    hits[0] = 99
    margins = rng.normal(size=(7, 1, 1)) + rng.normal(size=(7, 2, 30))
    verdict = by_hand(hits, margins, draws=100).verdict
    assert verdict.finding == "residual knowledge"
    assert "disagree: found by hits (p" in verdict.note
    assert "not by margin (p" in verdict.note
    quiet = by_hand(rng.integers(40, 60, (7, 2, 30)), margins, draws=100).verdict
    assert (quiet.finding, quiet.note) == ("none detected", "")


def test_a_verdict_in_words():
    verdict = Verdict(
        "residual knowledge", "joint", 0.05, 6, 0.0031, 1.234, 0.8, 1.6,
        "logits", 0.9, 1.04,
    )  # fmt: skip
    assert str(verdict) == (
        "Residual knowledge (p = 0.0031, level 0.05): over the curve the mean logit "
        "margin is +1.23 logits from that of the average of 6 re-trained models (95 % interval "
        "0.8 to 1.6), beyond what a further one would show."
    )
    none = dataclasses.replace(verdict, finding="none detected", p=0.4)
    assert str(none).startswith("No residual knowledge detected (p = 0.4")
    assert str(none).endswith("finds 0.9 logits or a ratio of 1.04 in four of five cases.")
    blunt = dataclasses.replace(none, detectable_margin=12.0, detectable_ratio=math.inf)
    more = " More references, or radii at which they err, would tell more."
    assert str(blunt).endswith("finds 12 logits in four of five cases." + more)
    over = dataclasses.replace(verdict, finding="over-forgotten", effect=-1.234, note="Mind this.")
    assert str(over).startswith("Over-forgotten (p = ")
    alone = dataclasses.replace(verdict, test="hits")
    assert str(alone).startswith("Residual knowledge (by hits alone, p = ")
    assert str(over).endswith("would show. Mind this.")
    for part, told in {
        "hits at the first tau": "at the first tau the odds of a right answer are 0.5 times",
        "soft hits": "over the curve the odds of the label's mean probability are 0.5 times",
        "scaled margin": "over the curve the margin, each model's scaled to one spread over "
        "samples, is -0.693 logits from",
    }.items():
        led = dataclasses.replace(over, leading=part, shift=-math.log(2))
        assert f"level 0.05): {told} th" in str(led)
        assert "of the average of 6 re-trained models, beyond" in str(led)


def test_a_finding_is_told_by_a_number_on_its_side():
    """Surer of the samples, and right on fewer. Fails if a model is said to know more because its
    margin, which it isn't found by, is lower."""
    rng = np.random.default_rng(0)
    spread = rng.normal(0, 3, (6, 1, 1))  # references' margins say nothing, their hits agree
    hits = np.full((7, 2, 40), 6) + rng.integers(0, 2, (7, 2, 40))
    hits[0], margins = 9, 1 + np.concatenate([[[[-2.0]]], spread]) + rng.normal(0, 0.1, (7, 2, 40))
    verdict = by_hand(hits, margins).verdict
    assert (verdict.finding, verdict.leading) == ("residual knowledge", "hits at the first tau")
    assert verdict.effect < 0 < verdict.shift
    (times,) = re.findall(
        r"at the first tau the odds of a right answer are (\S+) times", str(verdict)
    )
    assert float(times) == pytest.approx(math.exp(verdict.shift), rel=0.01)
    assert "-2" not in str(verdict)


def test_linear_models_end_to_end(linear):
    """Eight re-trained linear models, no clipping. Pr[m(x') = y] = Phi(margin / (tau ||w||)), so
    the ratio, the mean margin, and what the verdict must be are known."""
    rng = np.random.default_rng(3)
    n, draws, taus = 40, 400, (0.3, 0.6)
    x = torch.as_tensor(rng.random((n, 2)), dtype=torch.float32)
    y = torch.ones(n, dtype=torch.int64)

    def net(offset):
        w = np.array([3.0, -2.0]) + 0.2 * rng.standard_normal(2)
        return linear(np.stack([0 * w, w]), bias=[0.0, offset], dtype=torch.float32)

    luck = 0.1 * rng.standard_normal(8)
    references = [net(o) for o in luck]
    models = {"like one": net(0.05), "knows": net(1.2), "avoids": net(-1.2)}
    result = residual_knowledge(
        models, references, x, y, taus=taus, draws=draws, bounds=None, seed=1
    )

    def truth(model, tau):
        w, b = (p.detach().numpy() for p in model[1].parameters())
        score = x.numpy() @ (w[1] - w[0]) + b[1] - b[0]
        return Phi(score / (tau * np.linalg.norm(w[1] - w[0]))), score

    for name, model in models.items():
        rows = result.frame[result.frame.model == name]
        for tau, row in zip(taus, rows.itertuples(), strict=True):
            own, score = truth(model, tau)
            others = np.mean([truth(r, tau)[0] for r in references], 0)
            ratio = own.mean() / others.mean()
            noise = np.sqrt((own * (1 - own)).sum() / draws) / n / own.mean()
            assert abs(np.log(row.ratio_of_means / ratio)) < 4 * noise
            assert row.ratio_low < ratio < row.ratio_high
            w = model[1].weight.detach().numpy()
            noise = tau * np.linalg.norm(w[1] - w[0]) / np.sqrt(n * draws)
            assert abs(row.margin - score.mean()) < 4 * noise
    for test in TESTS:
        found = {name: result.judge(name, test=test).finding for name in models}
        assert found == {
            "like one": "none detected",
            "knows": "residual knowledge",
            "avoids": "over-forgotten",
        }
    assert result.verdict == {name: result.judge(name) for name in models}


@pytest.mark.parametrize("shares", [[0.01], [0.01, 0.01, 0.01], [0.02, 0.9], [1e-9, 0.4]])
def test_one_p_of_several(shares):
    """Equal ones stay; one of n below level / n is enough; a silent one takes nothing away."""
    p = combined(shares)
    assert min(shares) <= p * (1 + 1e-9) <= len(shares) * min(shares) * (1 + 1e-9)
    assert combined([*shares, np.nan]) == p
    assert combined([*shares[:-1], shares[-1] / 2]) < p
    assert np.isnan(combined([np.nan]))
    assert combined([0.7, 0.9]) == 0.7


def test_one_p_of_several_keeps_its_level():
    """Five p of normal numbers that correlate by 0, 0.5 and 0.9: 5 % of 20,000 are below 5 %."""
    rng = np.random.default_rng(3)
    for share in (0.0, 0.5, 0.9):
        z = np.sqrt(share) * rng.normal(size=(20_000, 1))
        z = z + np.sqrt(1 - share) * rng.normal(size=(20_000, 5))
        p = [combined(row) for row in 2 * stats.norm.sf(abs(z))]
        assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.012), share


@pytest.mark.parametrize("references", [3, 6, 12])
def test_one_p_of_seeds_that_share_their_references(references):
    """20,000 times three re-trained models as three seeds, held against the same references: 5 % of
    the joined p are below 5 %, where "in one seed of three at least" would be twice as often."""
    rng = np.random.default_rng(references)
    models = rng.normal(size=(20_000, 3 + references))
    own, others = models[:, :3], models[:, 3:]
    sd = others.std(1, ddof=1, keepdims=True) * np.sqrt(1 + 1 / references)
    p = 2 * stats.t.sf(abs(own - others.mean(1, keepdims=True)) / sd, references - 1)
    joined = np.array([combined(row) for row in p])
    assert np.mean(joined < 0.05) == pytest.approx(0.05, abs=0.01)
    assert np.mean(p.min(1) < 0.05) > 0.08


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
    shift = 3.514 * luck * np.sqrt(1 + 1 / 6)  # noncentral t, 5 df: see test_statistics
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
