"""Controls: measured like the forget set, and they tell memory from robustness."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from rurklib import Counts, ResidualKnowledge, residual_knowledge
from rurklib.perturb import gaussian
from rurklib.residual import verdict as verdicts
from rurklib.residual.controls import compared, sampled
from rurklib.residual.verdict import NONE, RESIDUAL, Verdict, judge
from rurklib.tensors import generator

OPTIONS = {"taus": [0.0, 0.1, 0.2, 0.3], "draws": 30}


def measured(planted, model, references=None, **options):
    controls = {"held out": planted.pair("held_out")}
    references = planted.references if references is None else references
    x, y = planted.pair("forget")
    return residual_knowledge(model, references, x, y, controls=controls, **OPTIONS, **options)


def test_memory_does_not_raise_the_held_out_control(planted):
    """Original learnt the forget samples by heart. Fails if the control's references are compared
    on the forget samples, or if every finding gets the note about robustness."""
    result = measured(planted, planted.original)
    verdict = result.judge("model", test="hits")
    assert verdict.finding == RESIDUAL
    assert "Held-out samples do not show it" in verdict.note
    assert result.control_results["held out"].judge("model", test="hits").finding == NONE


def test_robustness_raises_it_as_well(planted):
    """Re-trained with noise: it never saw a forget sample, and recognises noisy copies of them more
    often than the references. So it does of held-out ones, and the verdict says so."""
    x, y = planted.pair("kept")
    noisy = [gaussian(x, 0.1, generator=generator(0, 0, 0, i)) for i in range(8)]
    smoother = planted.train(torch.cat([x, *noisy]), y.repeat(9), 70)
    result = measured(planted, smoother)
    assert result.frame.ratio_of_means.iloc[2:].min() > 1.1
    assert result.controls.ratio_of_means.iloc[2:].min() > 1.1
    verdict = result.judge("model", test="hits")
    assert verdict.finding == RESIDUAL
    assert "Held-out samples, that nobody trained on, stand as high" in verdict.note
    assert str(verdict).endswith("knowledge of their class.")


ONE = np.array([-2.0, 2.0, 0.5, -1.5, 1.0])  # references differ by so much on the forgotten
NEAR, APART = ONE + np.array([0.1, -0.1, 0.2, 0.0, -0.2]), ONE[::-1]  # and on held-out samples


@pytest.mark.parametrize(
    ("beside", "others", "finding", "said"),
    [
        (3.0, NEAR, NONE, "samples show a part of it (+3"),
        (1.0, NEAR, NONE, "do not show it (+1"),
        (-3.0, NEAR, NONE, "do not show it"),
        (1.0, APART, NONE, "Whether held-out samples show it as well can't be told (+1 logits"),
        (2.5, APART, RESIDUAL, "show a part of it"),
    ],
)
def test_what_is_said_of_so_many_logits_beside_six(beside, others, finding, said):
    """+6 logits on the forgotten, and so much on held-out samples. Fails if a half is said not to
    show where it is inside; or, where references are high on the one and low on the other (p 0.13),
    held-out samples are said not to show it, or to stand as high."""
    told = Verdict(RESIDUAL, "margin", 0.05, 5, 0.01, 6, 4, 8, "logits", "", 1, 2, leading="margin")
    forgotten, held_out = {"margin": (np.array(6.0), ONE, 0.0)}, (np.array(beside), others, 0.0)
    note = compared(told, replace(told, finding=finding), forgotten, {"margin": held_out})
    assert said in note


def test_a_retrained_model_has_no_note(planted):
    result = measured(planted, planted.retrained)
    for test in ("hits", "margin"):
        verdict = result.judge("model", test=test)
        assert (verdict.finding, verdict.note) == (NONE, "")


def test_a_control_is_the_measurement_of_its_own_samples(cnn, images):
    """Row for row what measuring those samples as the forget set gives, for random and gradient
    laws; the forget set's own numbers don't move. Fails if a control is measured with
    other draws, taus or seed, or if it shares the forget set's band."""
    (x, y), (cx, cy), (rx, ry) = images(4), images(5, seed=1), images(3, seed=2)
    models, references = {"a": cnn(1), "b": cnn(2)}, [cnn(3), cnn(4)]
    controls = {"held out": (cx, cy), "retained": (rx, ry)}
    for law in ("gaussian", "pgd"):
        options = {"taus": [0.0, 0.2], "draws": 2, "seed": 3, "perturbation": law}
        result = residual_knowledge(models, references, x, y, controls=controls, **options)
        alone = residual_knowledge(models, references, x, y, **options)
        assert result.frame.equals(alone.frame)
        assert list(result.controls.columns) == ["control", *result.frame.columns]
        assert result.controls.control.unique().tolist() == ["held out", "retained"]
        for name, pair in controls.items():
            own = residual_knowledge(models, references, *pair, **options).frame
            rows = result.controls[result.controls.control == name].drop(columns="control")
            assert rows.reset_index(drop=True).equals(own), (law, name)
    assert len(alone.controls) == 0
    assert "control" in alone.controls


@pytest.mark.parametrize(
    ("shift", "says"),
    [
        ((1.0, 0.0), "do not show it"),
        ((1.0, 1.0), "stand as high"),
        ((1.0, 2.0), "stand as high"),
        ((-1.0, -1.0), "stand as low"),
        ((1.0, 0.98), "stand as high"),
        ((1.0, 0.5), "show a part of it"),
        ((1.0, -2.0), "do not show it"),
    ],
)
def test_the_note_by_hand(shift, says):
    """Margins of six references scattered by +- 0.02, the model shifted on either set. Fails if
    the difference is tested against the spread of one set, or its sign is lost."""
    scatter = 0.02 * np.array([1, -1, 0.5, -0.5, 0.2, -0.2])
    samples = np.linspace(-1, 1, 8)

    def values(by: float, order: int):
        own = np.tile(samples + by, (2, 1))
        others = np.stack([np.tile(samples + s, (2, 1)) for s in np.roll(scatter, order)])
        null = [(others[k], np.delete(others, k, 0)) for k in range(6)]
        hits = np.full((2, 8), 3), np.full((6, 2, 8), 3)
        return hits, [(hits[1][k], hits[1][:5]) for k in range(6)], 5, (own, others), null

    a, b = values(shift[0], 0), values(shift[1], 2)
    verdict, other = judge(*a, test="margin"), judge(*b, test="margin")
    note = compared(verdict, other, *(verdicts.part_statistics(*v) for v in (a, b)))
    assert says in note
    # each reference less the mean of the other five is 6/5 of it less the mean of all six
    sd = (scatter - np.roll(scatter, 2)).std(ddof=1) * np.sqrt(1 + 1 / 6)
    p = 2 * stats.t.sf(abs(shift[0] - shift[1]) / sd, 5)
    assert f"{shift[1]:+.3g} logits against {shift[0]:+.3g}, p of the difference {p:.2g})" in note


def test_the_held_out_samples_are_judged_by_the_same_test():
    """Hits that show it and margins that don't: the note follows the hits. Fails if the control's
    verdict is by the default test or at the default level."""
    own = np.array([[40], [41], [42], [39], [40], [41], [43]]) + np.zeros((7, 20), np.int64)
    names = ("m", *(f"r{i}" for i in range(6)))
    margins = 0.0 + np.array([0.0, 1, -1, 2, -2, 3, -3])[:, None, None] + np.zeros((7, 1, 20))

    def beside(hits_of_m: int, turned: int = 0, **more) -> ResidualKnowledge:
        hits = np.concatenate([own[:1], np.roll(own[1:], turned, 0)])[:, None]
        hits[0] = hits_of_m
        counts = Counts(hits, names, (0.1,), 100, "gaussian", 0, margins=margins)
        return ResidualKnowledge(dict.fromkeys(names, counts), ("m",), names[1:], True, **more)

    result = beside(60, control_results={"held out": beside(59)})
    assert "show a part of it" in result.judge("m", test="hits").note
    assert result.judge("m", test="margin").note == ""
    slightly = beside(60, control_results={"held out": beside(44, turned=1)})
    assert "do not show it" in slightly.judge("m", test="hits").note
    assert "a part of it" in slightly.judge("m", test="hits", level=0.2).note


def test_a_control_is_as_large_as_it_need_be():
    """At most 200 samples, or as many as are forgotten; pairs stay pairs, the seed decides."""
    x, y = torch.arange(500.0)[:, None], torch.arange(500)
    for forgotten, size in ((10, 200), (300, 300), (900, 500)):
        cx, cy = sampled((x, y), forgotten, seed=0)
        assert len(cx) == len(set(cy.tolist())) == size
        assert torch.equal(cx[:, 0].long(), cy)
    assert not torch.equal(sampled((x, y), 10, seed=0)[1], sampled((x, y), 10, seed=1)[1])
