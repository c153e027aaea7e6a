"""Drawing that stops by itself: never too early, and with the draws that would be made anyway."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from rurklib import residual_knowledge
from rurklib.residual.counts import count_hits
from rurklib.residual.flags import of_references
from rurklib.residual.sequential import STEP, half_widths, tolerance_met
from rurklib.residual.spec import Measurement


def counted(models, x, y, *, found_on=None, references=(), **asked):
    return count_hits(models, x, y, Measurement(**asked), found_on=found_on, references=references)


NAMES, REFERENCES = ("m", "a", "b", "c"), ("a", "b", "c")


def worlds(rng, n, draws, shared):
    """Hits [model, draw] of four models over n samples; a share of the samples goes by noise that
    all models have in common, as on shared copies."""
    p = np.array([0.8, 0.7, 0.6, 0.65])[:, None, None]
    common = rng.random((1, draws, n)) < shared
    u = np.where(common, rng.random((1, draws, n)), rng.random((4, draws, n)))
    return (u < p).sum(2)


@pytest.mark.parametrize("shared", [0.0, 0.9])
def test_intervals_cover_what_they_promise(shared):
    """In 600 simulated worlds of 40 draws each true ratio lies within the half-width in about 95 %.
    Fails if the models' noise on one draw is taken as independent (far too wide when it is
    shared), if a reference is compared with itself, or if the level of the references is left
    out."""
    rng = np.random.default_rng(0)
    true = np.array([0.8 / 0.65, 0.7 / 0.625, 0.6 / 0.675, 0.65 / 0.65])
    inside = []
    for _ in range(600):
        hits = worlds(rng, 30, 40, shared)
        mean = hits.mean(1)
        ratios = [mean[0] / mean[1:].mean()] + [
            mean[k] / np.delete(mean[1:], k - 1).mean() for k in (1, 2, 3)
        ]
        inside.append(np.abs(ratios - true) <= half_widths(hits, 30, NAMES, REFERENCES))
    cover = np.mean(inside, axis=0)
    assert ((cover > 0.925) & (cover < 0.975)).all(), cover


def test_where_nothing_varies_the_rule_of_three_speaks():
    """All of 10 draws x 6 samples recognised: up to 3 of 60 may yet not be."""
    assert half_widths(np.full((4, 10), 6), 6, NAMES, REFERENCES) == pytest.approx([3 / 60] * 4)
    assert half_widths(np.full((4, 10), 3), 6, NAMES, REFERENCES) == pytest.approx([6 / 60] * 4)
    assert np.isinf(half_widths(np.zeros((4, 10), int), 6, NAMES, REFERENCES)).all()
    assert len(half_widths(np.full((2, 10), 6), 6, ("m", "a"), ("a",))) == 1  # a has no other
    assert not tolerance_met([np.full((1, 10), 6)], 6, ("m",), (), 0.1)  # nothing to compare with


def test_all_ratios_must_have_settled():
    """Fails if the model's ratio alone decides: here only reference c still swings."""
    calm = np.full((4, 20), 500)
    calm[3] += 40 * (np.arange(20) % 2)
    pieces = [calm[:, :10], calm[:, 10:]]
    widths = half_widths(calm, 1000, NAMES, REFERENCES)
    assert widths.argmax() == 3
    between = (np.sort(widths)[-1] + np.sort(widths)[-2]) / 2
    assert not tolerance_met(pieces, 1000, NAMES, REFERENCES, between)
    assert tolerance_met(pieces, 1000, NAMES, REFERENCES, widths.max() + 1e-9)
    assert not tolerance_met(pieces, 1000, NAMES, REFERENCES, None)
    assert not tolerance_met([], 1000, NAMES, REFERENCES, 1.0)


@pytest.mark.parametrize("law", ["gaussian", "pgd"])
def test_the_draws_that_are_made_are_the_first_ones(law, cnn, images):
    """Hits, margins and the share moved are those of a plain count of as many draws. Fails if
    draws are repeated after a look, or divided by the number that was allowed."""
    (x, y), nets = images(10), {f"n{i}": cnn(i) for i in range(4)}
    options = {"perturbation": law, "found_on": "n0"}
    taus, known = (0.0, 0.05, 0.4), ("n1", "n2", "n3")
    counts = counted(nets, x, y, taus=taus, draws=70, tolerance=0.2, references=known, **options)
    assert counts.draws == 70
    drawn = counts.drawn.tolist()
    assert drawn[0] == 70  # the one copy stands for all
    assert all(d % STEP == 0 for d in drawn[1:])
    assert drawn[1] < 70
    for t, tau in enumerate(taus):
        plain = counted(nets, x, y, taus=[tau], draws=drawn[t], **options)
        assert plain.stopped is None
        assert plain.drawn.tolist() == [drawn[t]]
        assert np.array_equal(counts.hits[:, t], plain.hits[:, 0])
        assert counts.margins[:, t] == pytest.approx(plain.margins[:, 0], abs=1e-4)
        assert counts.moved[t] == pytest.approx(plain.moved[0])


def test_the_batch_size_does_not_decide_when_to_stop(cnn, images):
    """Fails if draws that were made in several batches are taken for one another."""
    (x, y), nets = images(10), {f"n{i}": cnn(i) for i in range(4)}
    options = {"taus": [0.05, 0.2], "draws": 60, "tolerance": 0.2, "references": ("n1", "n2", "n3")}
    drawn = [counted(nets, x, y, batch_size=b, **options).drawn.tolist() for b in (5, 30, 512)]
    assert drawn[0] == drawn[1] == drawn[2]
    assert min(drawn[0]) < 60


def test_the_same_answer_for_fewer_draws(cnn, images):
    """Every ratio within the tolerance of the one from all draws; a tolerance of 0 changes
    nothing. Fails if accuracies are divided by the draws that were allowed."""
    (x, y), m, r = images(40), cnn(1), [cnn(i) for i in (2, 3, 4)]
    options = {"taus": [0.0, 0.02, 0.1, 0.3], "draws": 200}
    full = residual_knowledge(m, r, x, y, **options)
    quick = residual_knowledge(m, r, x, y, tolerance=0.06, **options)
    never = residual_knowledge(m, r, x, y, tolerance=0.0, **options)
    pd.testing.assert_frame_equal(
        never.frame, full.frame, rtol=1e-9, atol=1e-9
    )  # sums in another order
    drawn = quick.counts["model"].drawn
    assert 2 * drawn[1:].sum() <= 3 * 200
    apart = (quick.frame - full.frame).abs()
    assert apart.ratio_of_means.max() <= 0.06
    assert apart.forget_accuracy.max() <= 0.06
    assert apart.reference_accuracy.max() <= 0.06
    assert apart.forget_accuracy.max() > 0


def test_models_that_stopped_elsewhere_are_compared_in_shares(cnn, images):
    """Under PGD every model is asked on copies of its own, and stops on its own. Fails if hits of
    one are divided by another's draws: counts of twice as many draws must say the same."""
    (x, y), nets = images(8, classes=2), {name: cnn(k) for k, name in enumerate("mabcd")}
    asked = {"taus": [0.05, 0.2], "perturbation": "pgd", "draws": 6}
    result = residual_knowledge({"m": nets.pop("m")}, nets, x, y, **asked)
    twice = {
        name: replace(c, hits=2 * c.hits, draws=12) if name in "ac" else c
        for name, c in result.counts.items()
    }
    other = replace(result, counts=twice)
    pd.testing.assert_frame_equal(other.frame, result.frame)
    for test in ("joint", "hits"):
        own, same = (r.judge("m", test=test) for r in (result, other))
        assert (own.p, own.finding) == (pytest.approx(same.p), same.finding)
    assert of_references(twice, [*"abcd"], 2) == of_references(result.counts, [*"abcd"], 2)
