"""Every flag is raised when it should be, not otherwise, and never changes a number."""

import re
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import rurklib
from rurklib import Counts, residual_knowledge
from rurklib.residual import flags
from rurklib.residual.flags import NAMES, at_chance, copies, outstanding, unlike


class Sigmoid(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x).sigmoid()


class Noisy(Sigmoid):
    def forward(self, x):
        return F.dropout(self.net(x), 0.5, training=True)


class BatchWise(Sigmoid):
    """Normalises by batch statistics whatever the mode."""

    def forward(self, x):
        return self.net(F.batch_norm(x, None, None, training=True))


class Stepped(Sigmoid):
    """Grey levels, so flat nearly everywhere."""

    def forward(self, x):
        return self.net(x.detach().mul(4).round().div(4) + 0 * x)


def measured(cnn, images, model=None, references=None, x=None, y=None, **options):
    x, nets = images(8)[0] if x is None else x, [cnn(i).eval() for i in range(5)]
    options = {"taus": [0.0, 0.1], "draws": 4, **options}
    references = references or nets[1:]
    if y is None:  # labels that references know, as far as they agree
        y = torch.stack([deepcopy(n).eval()(x) for n in references]).mean(0).argmax(1)
    return residual_knowledge(model or nets[0], references, x, y, **options)


def raised(result) -> list[str]:
    return [flag.name for flag in result.flags]


def test_a_clean_measurement_raises_none(cnn, images):
    for law in ("gaussian", "fgsm", "pgd", "pgd-l2-untargeted"):
        assert measured(cnn, images, perturbation=law).flags == [], law


def test_probabilities(cnn, images):
    """An exact softmax is refused (test_measure); a sigmoid or a rounded softmax is flagged."""
    result = measured(cnn, images, Sigmoid(cnn(0)).eval())
    assert raised(result) == ["probabilities"]
    assert result.flags[0].message.startswith("model: ")
    shares = torch.tensor([[0.2, 0.3, 0.5], [0.0, 0.0, 1.0]])
    assert flags.like_probabilities(shares)
    assert flags.like_probabilities(shares + 0.002)
    assert flags.like_probabilities(torch.tensor([[0.9, 0.8], [0.1, 0.3]]))
    assert not flags.like_probabilities(torch.tensor([[1.2, -0.2], [0.5, 0.5]]))
    assert not flags.like_probabilities(torch.tensor([[1.2, 0.2], [0.5, 0.5]]))
    assert not flags.like_probabilities(torch.zeros(2, 3))


def test_train_mode(cnn, images):
    """Also where only a part is in train mode; the numbers are those of eval mode. A new class
    around a net in eval mode isn't."""
    model = cnn(0).eval()
    clean = measured(cnn, images, torch.nn.Sequential(model))
    assert not clean.flags
    model[1].train()
    result = measured(cnn, images, model, [cnn(1).train(), *(cnn(i) for i in (2, 3, 4))])
    assert raised(result) == ["train mode"]
    assert result.flags[0].message.startswith("model, reference-0: ")
    assert result.frame.equals(clean.frame)
    assert model[1].training
    assert not model[0].training


def test_stochastic_model(cnn, images, same_random_state):
    result = measured(cnn, images, Noisy(cnn(0)).eval())
    assert raised(result) == ["stochastic model"]
    with same_random_state():  # asking twice draws from a random state of its own
        found = flags.outputs({"m": Noisy(cnn(0)), "n": cnn(1)}, images(8)[0])
    assert [f.message.split(":")[0] for f in found] == ["m"]


def test_images_that_use_hardly_any_of_the_unit_interval(cnn, images):
    """0 ... 16 as bytes: refused nowhere, and tau is sixteen times what it seems."""
    x = (images(8)[0] * 16).to(torch.uint8)
    assert [f.name for f in flags.inputs(x, (0.0, 1.0))] == ["dark images"]
    assert "span [0, 0.0588]" in flags.inputs(x, (0.0, 1.0))[0].message
    assert flags.inputs(16 * x, (0.0, 1.0)) == flags.inputs(x, None) == []
    assert flags.inputs(x.flatten(1), (0.0, 1.0)) == []


def test_inputs_outside_the_unit_interval(cnn, images):
    """With bounds it is an error; without, images are flagged and tables are not."""
    x = images(8)[0]
    result = measured(cnn, images, x=(x - 0.5) / 0.2, bounds=None)
    assert raised(result) == ["inputs outside [0, 1]"]
    assert "move the normalisation into the model" in result.flags[0].message
    assert measured(cnn, images, bounds=None).flags == []
    assert flags.inputs(255 * x, (0, 255)) == []
    assert flags.inputs((x - 0.5).flatten(1), None) == []


def test_few_references(cnn, images):
    for k in (1, 2):
        result = measured(cnn, images, references=[cnn(i).eval() for i in range(1, k + 1)])
        assert raised(result) == ["few references"]
        assert result.flags[0].message.startswith(f"{k} given")
    assert raised(measured(cnn, images, references=[cnn(i).eval() for i in (1, 2, 3)])) == []


def test_undefined_ratios():
    """Above a fifth at any tau, and it names the worst."""
    assert flags.undefined([0.0, 0.1], np.array([0.2, 0.2])) == []
    (flag,) = flags.undefined([0.0, 0.1, 0.2], np.array([0.1, 0.5, 0.25]))
    assert flag.message.startswith("50 % of the samples at tau = 0.1 are")


def test_undefined_ratios_of_a_measurement(cnn, images, linear):
    """References that never say class 0 leave a third of the samples without a ratio."""
    never = [
        nn.Sequential(cnn(i), linear(np.diag([1.0, 1, 1]), [-200.0, 0.0, 0.0])) for i in (1, 2, 3)
    ]
    result = measured(cnn, images, None, [n.float().eval() for n in never], *images(8))
    assert raised(result) == ["undefined ratios"]


def test_gradients_of_zero(cnn, images):
    """FGSM stays where it is, PGD at its random start; noise doesn't mind. Fails if only the copies
    that moved are looked at."""
    model = Stepped(cnn(0)).eval()
    for law in ("fgsm", "pgd"):
        result = measured(cnn, images, model, perturbation=law)
        assert raised(result) == ["perturbations changed nothing"], law
        assert result.flags[0].message.startswith("model: ")
    assert raised(measured(cnn, images, model)) == []


def test_copies_that_are_their_sample(cnn, images):
    """tau below what a float can show; tau = 0 is no such case."""
    result = measured(cnn, images, taus=[0.0, 1e-12])
    assert raised(result) == ["perturbations changed nothing"]
    assert "at tau = 1e-12 (gaussian) are the sample itself" in result.flags[0].message
    assert flags.unmoved([0.0, 0.1], np.array([0.0, 0.96]), "fgsm on m") == []
    assert len(flags.unmoved([0.0, 0.1], np.array([0.0, 0.94]), "fgsm on m")) == 1
    assert flags.unmoved([0.1], None, "counts of old") == []


def test_each_kind_is_raised_once():
    """Two models whose references recognise nothing and whose copies stay: one flag of each kind,
    none of a kind that is known already; how references fare against each other is no flag."""
    hits = np.zeros((3, 1, 4), np.int64)
    counts = Counts(hits, ("m", "n", "r"), (0.1,), 5, "fgsm", 0, 0.0 * hits, "m", moved=np.zeros(1))
    everyone = dict.fromkeys(("m", "n", "r"), counts)
    found = flags.of_counts(everyone, ["r"])
    assert [f.name for f in found] == ["perturbations changed nothing", "undefined ratios"]
    assert "(fgsm on m)" in found[0].message
    assert flags.of_counts(everyone, ["r"], known=found[:1]) == found[1:]
    assert flags.of_counts({"r": counts}, ["r"]) == found[:1]


def test_answers_that_depend_on_the_batch(cnn, images):
    assert raised(measured(cnn, images, BatchWise(cnn(0)).eval())) == ["depends on the batch"]


def test_references_are_compared_with_the_control(planted, linear):
    """Through the measurement: clean here, and flagged when held-out labels are wrong."""
    (x, y), (hx, hy) = planted.pair("forget"), planted.pair("held_out")
    options = {"taus": [0.1], "draws": 3}
    nets = planted.retrained, planted.references, x, y
    assert raised(residual_knowledge(*nets, controls={"held out": (hx, hy)}, **options)) == []
    wrong = {"held out": (hx, (hy + 1) % 3)}
    result = residual_knowledge(*nets, controls=wrong, **options)
    assert raised(result) == ["references unlike held-out samples"]
    right, n, other, m = result.right_of("reference-0")
    assert f"reference-0 {right} of {n} forget and {other} of {m} held" in result.flags[0].message
    assert right / n > 0.5 > other / m
    renamed = {"retained": wrong["held out"]}
    assert raised(residual_knowledge(*nets, controls=renamed, **options)) == []


def test_references_that_cannot_judge_are_told_through_the_measurement(planted):
    """One that saw the forget set, and labels off by one. Fails if either verdict goes unflagged,
    or it is advised to measure below a tau of 0."""
    x, y = planted.pair("forget")
    saw = {f"a{i}": m for i, m in enumerate(planted.references)} | {"saw": planted.original}
    result = residual_knowledge(planted.retrained, saw, x, y, taus=[0.0, 0.1], draws=3)
    assert raised(result) == ["reference unlike the others"]
    assert result.flags[0].message.startswith("saw knows the forget samples better (p = ")
    off = residual_knowledge(
        planted.retrained, planted.references, x, (y + 1) % 3, taus=[0.0], draws=1
    )
    assert raised(off)[0] == "references at chance"
    assert "labels in another order" in off.flags[0].message
    assert all("(above tau = 0) measure" in f.message for f in off.flags[1:])


def test_names_are_in_the_readme():
    """The table of flags has a row for each name, and no other."""
    readme = Path(rurklib.residual.__file__).parent / "README.md"
    section = readme.read_text().split("## Flags")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([^`]+)` \|", section, re.M)
    assert tuple(rows) == NAMES


DRAWS = 20


def worlds(rng, k, shift=0.0):
    """Hits and margins of k references on 30 samples at two taus; the last is ``shift`` higher."""
    margins = 1.0 + rng.normal(size=30) + 0.3 * rng.normal(size=(k, 1, 1))
    margins = margins + 0.5 * rng.normal(size=(k, 1, 30)) + np.zeros((k, 2, 1))
    margins[-1] += shift
    return rng.binomial(DRAWS, 1 / (1 + np.exp(-margins))), margins


def test_copies_are_told_and_others_are_not():
    """To rounding, and not beyond. Fails if two models of equal means are taken for one."""
    rng = np.random.default_rng(0)
    _, m = worlds(rng, 4)
    rounded = m[1] * (1 + 1e-6 * rng.normal(size=m[1].shape))
    mirrored = 2 * m[0].mean() - m[0]  # the same mean and spread
    values = np.stack([m[0], m[1], rounded, mirrored, m[0] + 0.05])
    assert copies(values) == {2: 1}
    assert copies(values[[0, 0, 1, 0]]) == {1: 0, 3: 0}
    assert copies(values[[0, 0, 1]], models=2) == {}  # two models may be one


def test_constant_answers_are_compared_to_rounding():
    assert copies(np.full((3, 1, 4), 0.1)) == {1: 0, 2: 0}
    assert copies(np.array([0.1, 0.2])[:, None, None] + np.zeros((2, 1, 4))) == {}


def test_one_that_knows_more_stands_out():
    """Six alike: one set in twenty is flagged, at most; with one raised, nearly all, and by name.
    Fails if a level of 5 % is taken for each of the six, or lower ones are flagged too."""
    rng = np.random.default_rng(1)

    def found(shift):
        hits, margins = worlds(rng, 6, shift)
        return outstanding(hits, margins, DRAWS)

    assert np.mean([found(0.0) is not None for _ in range(300)]) <= 0.05 + 0.025
    raised = [found(5.0) for _ in range(50)]
    assert np.mean([r is not None and r[0] == 5 for r in raised]) >= 0.9
    assert sum(found(-5.0) is not None for _ in range(50)) <= 5
    assert outstanding(*worlds(rng, 3, 5.0), DRAWS) is None  # two can't tell of a third


def test_guessing():
    hits = np.zeros((3, 2, 10), int)
    hits[:, 0, :2] = DRAWS
    hits[:, 1] = DRAWS  # at the first tau alone
    assert at_chance(hits, DRAWS, 5)
    assert not at_chance(hits, DRAWS, 6)


def test_other_shares_of_samples_that_nobody_saw():
    """Fails if the level is spent by each of them, or fewer isn't a difference as more is."""
    right = {"more": (40, 20), "fewer": (20, 40), "as many": (30, 29)}
    found = unlike(right, (40, 40))
    assert list(found) == ["more", "fewer"]
    assert found["more"] == found["fewer"] == pytest.approx(7.8e-8, rel=0.01)
    alone = {"one": (12, 5)}  # p = 0.004 ... 0.01: enough for one, not for each of six
    (p,) = unlike(alone, (12, 12)).values()
    assert 0.01 / 6 < p < 0.01
    assert unlike({f"{k}": (12, 5) for k in range(6)}, (12, 12)) == {}
    assert unlike({}, (12, 12)) == {}
