"""The measurement, whole: every column of the frame against counts written by hand."""

import math
import tracemalloc

import numpy as np
import pytest
import torch
from torch import nn

from rurklib import Counts, InputError, ResidualKnowledge, residual_knowledge
from rurklib.residual.counts import Measurement, count
from rurklib.residual.result import COLUMNS

# hits [tau, sample] out of 10: the model m, and references a, b, c
HITS = {
    "m": [[10, 5, 0], [8, 2, 4]],
    "a": [[10, 0, 0], [4, 0, 0]],
    "b": [[5, 5, 0], [4, 2, 0]],
    "c": [[6, 4, 0], [1, 1, 0]],
}


def by_hand(names="mabc", on=None) -> ResidualKnowledge:
    hits = {n: np.array(HITS[n]) for n in names}
    margins = {n: h / 2 for n, h in hits.items()}
    counts = Counts(Measurement([0.0, 0.1], draws=10), hits, margins, on or {})
    return ResidualKnowledge(counts, ("m",), tuple(names[1:]), np.zeros(3, int), True)


def test_every_column_of_the_frame():
    """Sums over samples at tau_0: m 15, a 10, b 10, c 10; at tau_1: m 14, a 4, b 6, c 2.

    The band holds each reference out: at tau_0 it is 10 / 10 for all; at tau_1 a: 4 / ((6 + 2)/2),
    b: 6 / ((4 + 2)/2), c: 2 / ((4 + 6)/2). Fails if a reference is compared with a mean that holds
    itself (b would give 6 / 4), or if low and high are swapped."""
    frame = by_hand().frame
    expected = {
        "tau": [0.0, 0.1],
        "forget_accuracy": [15 / 30, 14 / 30],
        "reference_accuracy": [30 / 90, 12 / 90],
        "ratio_of_means": [15 / 10, 14 / 4],
        # at tau_0: 10 / 7 and 5 / 3; at tau_1: 8 / 3 and 2 / 1; the third sample is undefined
        "mean_of_ratios": [(10 / 7 + 5 / 3) / 2, (8 / 3 + 2) / 2],
        "undefined_share": [1 / 3, 1 / 3],
        "null_low": [1.0, 2 / 5],
        "null_high": [1.0, 6 / 3],
        "difference": [15 / 30 - 30 / 90, 14 / 30 - 12 / 90],
        "null_difference_low": [0, -3 / 30],  # c at tau_1: 2 - (4 + 6) / 2
        "null_difference_high": [0, 3 / 30],  # b at tau_1: 6 - (4 + 2) / 2
        "margin": [15 / 6, 14 / 6],
        "margin_difference": [15 / 6 - 10 / 6, 14 / 6 - 4 / 6],
        "margin_sd": [math.nan, 10 / 6 / (1 / 3)],  # references 4/6, 6/6, 2/6 have sd 1/3
    }
    assert tuple(frame.columns) == COLUMNS
    assert set(COLUMNS) - set(expected) == {
        *("ratio_low", "ratio_high", "predict_low", "predict_high", "p_value"),  # test_statistics
        *("margin_predict_low", "margin_predict_high"),
    }
    for column, numbers in expected.items():
        assert frame[column].tolist() == pytest.approx(numbers, nan_ok=True), column
    reach = 4.302653 / 3 * math.sqrt(4 / 3)
    limits = frame.margin_predict_low[1], frame.margin_predict_high[1]
    assert limits == pytest.approx((-reach, reach), rel=1e-6)


def test_ratios_are_on_the_models_copies_and_verdicts_on_own_ones():
    """References found 2 of the copies that m's gradient found: Eq. 4's ratio is 15 / 6. Fails if
    band, prediction or verdict follow."""
    own, on = by_hand(), by_hand(on={"m": {r: np.full((2, 3), 2) for r in "abc"}})
    assert on.frame.ratio_of_means.tolist() == pytest.approx([15 / 6, 14 / 6])
    assert on.frame.reference_accuracy.tolist() == pytest.approx([0.2, 0.2])
    assert on.judge("m").p_values == pytest.approx(own.judge("m").p_values, nan_ok=True)
    for column in ("null_low", "null_high", "predict_low", "predict_high", "p_value"):
        assert on.frame[column].equals(own.frame[column]), column


def test_many_references_are_held_out_one_at_a_time():
    """Fails if each is kept beside a copy of all the others: 60 times 60 of them."""
    rng, names = np.random.default_rng(0), ("m", *range(60))
    hits = {n: rng.integers(0, 11, (3, 1000)) for n in names}
    margins = {n: h / 2.0 for n, h in hits.items()}
    counts = Counts(Measurement([0.0, 0.1, 0.2], draws=10), hits, margins)
    result = ResidualKnowledge(counts, ("m",), names[1:], np.zeros(1000, int), True)
    tracemalloc.start()
    result.rows("m")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * sum(h.nbytes for h in hits.values())


def test_several_models_get_a_column(cnn, images):
    """A mapping of models: each row block equals the model's own frame."""
    (x, y), references = images(6), [cnn(7), cnn(8)]
    models, options = {"first": cnn(1), "second": cnn(2)}, {"taus": [0.0, 0.3], "draws": 10}
    result = residual_knowledge(models, references, x, y, **options)
    frame = result.frame
    assert list(frame.columns) == ["model", *COLUMNS]
    for name, model in models.items():
        alone = residual_knowledge(model, references, x, y, **options)
        rows = frame[frame.model == name].drop(columns="model").reset_index(drop=True)
        assert rows.equals(alone.frame)
        assert str(result.verdict[name]) == str(alone.verdict)


def test_copies_among_the_references_count_once(cnn, images):
    """A file under two names, and the model itself under another: one reference less each, said,
    and the numbers are those without them. Fails if only equal objects are told."""
    (x, y), nets = images(8), [cnn(i) for i in range(5)]
    own = residual_knowledge(nets[0], nets[1:], x, y, taus=[0.0, 0.2], draws=5)
    again = [*nets[1:], cnn(1), cnn(0)]
    result = residual_knowledge(nets[0], again, x, y, taus=[0.0, 0.2], draws=5)
    assert result.references == own.references
    assert result.frame.equals(own.frame)
    message = next(f.message for f in result.flags if f.name == "references alike")
    assert message.startswith("reference-4 and reference-0, reference-5 and model: ")
    six = residual_knowledge(nets[0], [cnn(1) for _ in range(6)], x, y, taus=[0.2], draws=5)
    assert six.verdict.finding == "no verdict"


def test_a_net_that_answers_nan_is_refused(cnn, images):
    """Finite on samples and NaN on copies. Fails if NaN counts as class 0."""

    class Breaks(nn.Module):
        def forward(self, x):
            known = torch.isin(x, clean).flatten(1).all(1)
            return net(x) + torch.where(known, 0.0, torch.nan)[:, None]

    net, (clean, y) = cnn(0), images(8)
    nets = {"sound": cnn(1), "broken": Breaks().eval()}
    with pytest.raises(InputError, match=r"^broken answered NaN or infinity "):
        residual_knowledge(nets, [cnn(2)], clean, y, taus=[0.0, 0.2], draws=5)


@pytest.mark.parametrize("name", ["fgsm", "pgd"])
def test_a_gradient_probes_every_model_on_its_own_copies(name, cnn, images):
    """Fails if all are probed with the copies found on the first model."""
    (x, y), nets = images(12), {f"n{i}": cnn(i) for i in range(4)}
    models = {k: nets[k] for k in ("n0", "n1")}
    references = {k: nets[k] for k in ("n2", "n3")}
    options = {"taus": [0.0, 0.05], "perturbation": name, "draws": 3}
    result = residual_knowledge(models, references, x, y, **options)
    for model, net in nets.items():
        alone = count({model: net}, x, y, Measurement(**options))
        assert np.array_equal(result.counts.hits[model], alone.hits[model])
    assert {m: set(on) for m, on in result.counts.on.items()} == {
        m: set(references) for m in models
    }
    shown = [result.counts.on[n]["n2"][1] for n in models]
    assert not np.array_equal(*shown)  # the reference is shown other copies for each model


def test_models_are_left_as_found(cnn, images, left_as_found, same_random_state):
    """Fails if a check or a measurement forgets a module's own mode, or moves BatchNorm."""
    (x, y), m, r = images(4), cnn(), cnn(1)
    m.train()
    m[1].eval()
    r.train()
    with left_as_found(m, r), same_random_state():
        for name in ("gaussian", "pgd"):
            residual_knowledge(m, [r], x, y, taus=[0.0, 0.1], draws=2, perturbation=name)
