"""Controls: measured like the forget set, and they tell memory from robustness."""

import numpy as np
import pytest
import torch

from rurklib import residual_knowledge
from rurklib.perturb import gaussian
from rurklib.residual.controls import compared, sampled
from rurklib.residual.verdict import NONE, OVER, RESIDUAL, judge
from rurklib.tensors import generator

WORDS = {"less": "show less", "as well": "as well", "can't tell": "cannot tell"}


def measured(planted, model):
    x, y = planted.pair("forget")
    beside, taus = {"held out": planted.pair("held_out")}, [0.0, 0.1, 0.2, 0.3]
    return residual_knowledge(model, planted.references, x, y, taus=taus, draws=30, controls=beside)


def test_memory_does_not_raise_the_held_out_control(planted):
    """Original learnt the forget samples by heart. Fails if the control's references are compared
    on the forget samples."""
    result = measured(planted, planted.original)
    assert result.verdict.finding == RESIDUAL
    assert WORDS["less"] in result.verdict.note
    assert result.control_results["held out"].verdict.finding == NONE


def test_robustness_raises_it_as_well(planted):
    """Re-trained with noise: it never saw a forget sample, and recognises noisy copies of them more
    often than the references. So it does of held-out ones, and the verdict says so."""
    x, y = planted.pair("kept")
    noisy = [gaussian(x, 0.1, generator=generator(0, 0, 0, i)) for i in range(8)]
    result = measured(planted, planted.train(torch.cat([x, *noisy]), y.repeat(9), 70))
    assert result.frame.ratio_of_means.iloc[2:].min() > 1.1
    assert result.controls.ratio_of_means.iloc[2:].min() > 1.1
    assert WORDS["as well"] in result.verdict.note


SCATTER = 0.02 * np.array([1, -1, 0.5, -0.5, 0.2, -0.2])


@pytest.mark.parametrize(
    ("shift", "order", "says"),
    [
        ((1.0, 0.0), 2, "less"),
        ((1.0, -2.0), 2, "less"),
        ((1.0, 1.0), 2, "as well"),
        ((-1.0, -1.0), 2, "as well"),
        ((1.0, 2.0), 2, "as well"),
        ((-1.0, 0.0), 2, "less"),
        ((0.05, 0.025), 2, "can't tell"),
        ((0.06, 0.0), 2, "less"),
        ((0.06, 0.0), 1, "can't tell"),
    ],
)
def test_the_note_by_hand(shift, order, says):
    """Margins of six references scattered by +- 0.02, the model shifted on either set. Fails if
    the difference is tested against the spread of one set (``order``: which reference is high on
    which set), or its sign is lost."""

    def answers(by: float, order: int):
        samples, hits = np.tile(np.linspace(-1, 1, 8), (2, 1)), np.full((7, 2, 8), 3)
        others = np.stack([samples + s for s in np.roll(SCATTER, order)])
        return hits[0], samples + by, hits[1:], others

    forget, beside = answers(shift[0], 0), answers(shift[1], order)
    verdict, held_out = judge(*forget, 5), judge(*beside, 5)
    assert verdict.finding == (RESIDUAL if shift[0] > 0 else OVER)
    note = compared(verdict, held_out, forget, beside, 5)
    assert [word for word, text in WORDS.items() if text in note] == [says]


def test_a_control_is_the_measurement_of_its_own_samples(cnn, images):
    """Row for row what measuring those samples as the forget set gives; the forget set's own
    numbers don't move. Fails if a control is measured with other draws, taus or seed, or if it
    shares the forget set's band."""
    (x, y), (cx, cy), (rx, ry) = images(4), images(5, seed=1), images(3, seed=2)
    models, references = {"a": cnn(1), "b": cnn(2)}, [cnn(3), cnn(4)]
    beside = {"held out": (cx, cy), "retained": (rx, ry)}
    for name in ("gaussian", "pgd"):
        options = {"taus": [0.0, 0.2], "draws": 2, "seed": 3, "perturbation": name}
        result = residual_knowledge(models, references, x, y, controls=beside, **options)
        alone = residual_knowledge(models, references, x, y, **options)
        assert result.frame.equals(alone.frame)
        assert list(result.controls.columns) == ["control", *result.frame.columns]
        assert result.controls.control.unique().tolist() == ["held out", "retained"]
        for control, pair in beside.items():
            own = residual_knowledge(models, references, *pair, **options).frame
            rows = result.controls[result.controls.control == control].drop(columns="control")
            assert rows.reset_index(drop=True).equals(own), (name, control)
    assert len(alone.controls) == 0
    assert "control" in alone.controls


def test_a_control_is_as_large_as_it_need_be():
    """At most 200 samples, or as many as are forgotten; pairs stay pairs, the seed decides."""
    x, y = torch.arange(500.0)[:, None], torch.arange(500)
    for forgotten, size in ((10, 200), (300, 300), (900, 500)):
        cx, cy = sampled((x, y), forgotten, seed=0)
        assert len(cx) == len(set(cy.tolist())) == size
        assert torch.equal(cx[:, 0].long(), cy)
    assert not torch.equal(sampled((x, y), 10, seed=0)[1], sampled((x, y), 10, seed=1)[1])
