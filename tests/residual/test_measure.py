"""The measurement, whole: every column of the frame against counts written by hand."""

import math

import numpy as np
import pytest
import torch
from torch import nn

import rurklib
from rurklib import Counts, InputError, ResidualKnowledge, residual_knowledge
from rurklib.edits import check_texts
from rurklib.residual.counts import Measurement, count_hits
from rurklib.residual.result import COLUMNS


def counted(models, x, y, *, found_on=None, **asked):
    return count_hits(models, x, y, Measurement(**asked), found_on=found_on)


# hits [model, tau, sample] out of 10: the model m, and references a, b, c
HITS = np.array(
    [
        [[10, 5, 0], [8, 2, 4]],
        [[10, 0, 0], [4, 0, 0]],
        [[5, 5, 0], [4, 2, 0]],
        [[6, 4, 0], [1, 1, 0]],
    ]
)


def by_hand(names="mabc", single=True) -> ResidualKnowledge:
    counts = Counts(HITS, tuple("mabc"), (0.0, 0.1), 10, "gaussian", 0, HITS / 2.0)
    models = tuple(n for n in names if n == "m")
    references = tuple(n for n in names if n in "abc")
    return ResidualKnowledge(dict.fromkeys(names, counts), models, references, single)


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
    }
    assert tuple(frame.columns) == COLUMNS
    assert set(COLUMNS) - set(expected) == {
        *("ratio_low", "ratio_high", "predict_low", "predict_high", "p_value"),  # test_statistics
        *("margin", "margin_difference", "margin_predict_low", "margin_predict_high", "margin_sd"),
    }
    for column, values in expected.items():
        assert frame[column].tolist() == pytest.approx(values), column


def test_null_holds_each_reference_out():
    assert by_hand().null == pytest.approx(np.array([[1, 1], [1, 2], [1, 0.4]]))
    assert by_hand().rows("b").ratio_of_means.tolist() == pytest.approx([1, 2])


def test_one_reference_gives_no_band():
    frame = by_hand("ma").frame
    assert frame.null_low.isna().all()
    assert frame.null_high.isna().all()
    assert frame.ratio_of_means.tolist() == pytest.approx([1.5, 3.5])


def test_several_models_get_a_column(cnn, images):
    """A mapping of models: each row block equals the model's own frame."""
    (x, y), references = images(6), [cnn(7), cnn(8)]
    models = {"first": cnn(1), "second": cnn(2)}
    options = {"taus": [0.0, 0.3], "draws": 10}
    frame = residual_knowledge(models, references, x, y, **options).frame
    assert list(frame.columns) == ["model", *COLUMNS]
    assert frame.model.tolist() == ["first"] * 2 + ["second"] * 2
    for name, model in models.items():
        alone = residual_knowledge(model, references, x, y, **options).frame
        assert "model" not in alone
        rows = frame[frame.model == name].drop(columns="model").reset_index(drop=True)
        assert rows.equals(alone)
    assert frame.forget_accuracy.nunique() > 2


def test_a_model_against_itself_is_exactly_one(cnn, images):
    """The paper's case m = a, for every law. Fails if model and reference see different copies."""
    (x, y), net = images(6), cnn()
    rules = rurklib.perturb.PERTURBATIONS.items()
    for law in (n for n, rule in rules if rule.check is not check_texts):
        frame = residual_knowledge(
            net, [net, net], x, y, taus=[0.2], draws=2, perturbation=law
        ).frame
        for column in ("ratio_of_means", "mean_of_ratios"):
            defined = frame[column].dropna()  # an untargeted law may leave nothing recognised
            assert (defined == 1).all(), (law, column)
            assert len(defined) == 1 or law.endswith("untargeted"), law


def test_the_band_of_a_fixed_pair(linear):
    """One reference knows every sample, one knows none: the band is from 0 to undefined."""
    knows = linear(np.zeros((2, 1)), bias=[0.0, 2.0], dtype=torch.float32)
    model = linear(np.zeros((2, 1)), bias=[0.0, 3.0], dtype=torch.float32)
    knows_not = linear(np.zeros((2, 1)), bias=[2.0, 0.0], dtype=torch.float32)
    x, y = torch.rand(4, 1), torch.ones(4, dtype=torch.int64)
    result = residual_knowledge(model, [knows, knows_not], x, y, taus=[0.0], draws=3)
    assert result.frame.ratio_of_means.item() == 2  # 1 / mean(1, 0)
    assert result.null[1].item() == 0
    assert math.isnan(result.null[0].item())


def test_copies_among_the_references_count_once(cnn, images):
    """A file under two names, and the model itself under another: one reference less each, said,
    and the numbers are those without them. Fails if only equal objects are told."""
    (x, y), nets = images(8), [cnn(i) for i in range(5)]
    own = residual_knowledge(nets[0], nets[1:], x, y, taus=[0.0, 0.2], draws=5)
    again = [*nets[1:], cnn(1), cnn(0)]
    result = residual_knowledge(nets[0], again, x, y, taus=[0.0, 0.2], draws=5)
    assert result.references == own.references
    assert result.frame.equals(own.frame)
    flag = next(f for f in result.flags if f.name == "references alike")
    assert flag.message.startswith("reference-4 and reference-0, reference-5 and model: ")
    six = residual_knowledge(nets[0], [cnn(1) for _ in range(6)], x, y, taus=[0.2], draws=5)
    assert six.verdict.finding == "no verdict"


def test_a_net_that_answers_nan_is_refused(cnn, images):
    """Finite on samples and NaN on copies. Fails if NaN counts as class 0."""

    class Breaks(nn.Module):
        def forward(self, x):
            known = len(x) % 8 == 0 and bool((x.view(-1, *clean.shape) == clean).all())
            return net(x) + (0.0 if known else torch.nan)

    net, clean = cnn(0), images(8)[0]
    y = torch.zeros(8, dtype=torch.int64)
    nets = {"sound": cnn(1), "broken": Breaks().eval()}
    with pytest.raises(InputError, match=r"^broken answered NaN or infinity .* tau = 0.2: .*mend"):
        residual_knowledge(nets, [cnn(2)], clean, y, taus=[0.0, 0.2], draws=5)


@pytest.mark.parametrize("law", ["fgsm", "pgd"])
def test_a_gradient_law_probes_every_model_on_its_own_copies(law, cnn, images):
    """Fails if all are probed with the copies found on the first model."""
    (x, y), nets = images(12), {f"n{i}": cnn(i) for i in range(4)}
    models = {k: nets[k] for k in ("n0", "n1")}
    references = {k: nets[k] for k in ("n2", "n3")}
    options = {"taus": [0.0, 0.05], "perturbation": law, "draws": 3}
    result = residual_knowledge(models, references, x, y, **options)
    for name, net in nets.items():
        assert result.counts[name].found_on == name
        alone = counted({name: net}, x, y, found_on=name, **options)
        assert np.array_equal(result.counts[name].of(name), alone.of(name))
        # targeted at y, so each finds at least what it recognised without a perturbation
        own = result.counts[name].of(name)
        assert (own[1] >= own[0]).all()
    per_model = [result.counts[n].of("n2")[1] for n in ("n0", "n1")]
    assert not np.array_equal(*per_model)  # the reference is shown other copies for each model


def test_models_are_left_as_found(cnn, images, left_as_found, same_random_state):
    """Fails if a check or a measurement forgets a module's own mode, or moves BatchNorm."""
    (x, y), m, r = images(4), cnn(), cnn(1)
    m.train()
    m[1].eval()
    r.train()
    with left_as_found(m, r), same_random_state():
        for law in ("gaussian", "pgd"):
            residual_knowledge(m, [r], x, y, taus=[0.0, 0.1], draws=2, perturbation=law)


@pytest.mark.parametrize("law", ["gaussian", "fgsm"])
def test_progress_grows_to_the_whole(cnn, images, law):
    """Fails if controls, searched models or blocks beyond the first aren't reckoned with."""
    x, y = images(300)
    told: list[float] = []
    rurklib.residual_knowledge(
        cnn(0), [cnn(1), cnn(2)], x, y, taus=[0.0, 0.1], draws=2, perturbation=law,
        controls={"held out": images(20, seed=1)}, progress=told.append,
    )  # fmt: skip
    assert told == sorted(set(told))
    assert 0 < told[0] < 0.5
    assert told[-1] == pytest.approx(1)
    assert len(told) == (1 if law == "gaussian" else 3) * 2 * (2 + 1)
