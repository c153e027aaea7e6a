"""Class unlearning: beside references that never saw the class, and the paper's wrong ones."""

import numpy as np
import pytest
import torch

from rurklib import InputError, study
from rurklib.models import build
from rurklib.study.ids import HALF
from rurklib.study.run import open_run
from rurklib.study.scenarios import SCENARIOS
from rurklib.study.scenarios.images import CONTROL
from rurklib.train import fit

SMALL = {"epochs": 3, "references": 3, "draws": 4, "taus": [0.0, 0.2], "methods": ["GD"],
         "GD.epochs": 1}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("class") / "r"
    run = open_run("digits-class", folder, seeds=[0], settings=SMALL)
    study.train(run)
    study.unlearn(run)
    return run


@pytest.mark.parametrize("name", ["digits", "cifar5"])
def test_it_is_the_same_study_but_for_the_share(name):
    """Fails if a net, a recipe or a radius drifts from those of half a class, or a method is left
    without values of its own."""
    half, whole = SCENARIOS[name], SCENARIOS[f"{name}-class"]
    assert (half.forget_share, whole.forget_share) == (0.5, 1.0)
    again, asked = whole.changed({"forget_share": 0.5}).settings(), half.settings()
    assert set(again.pop("methods")) < set(asked.pop("methods"))
    assert again == asked
    assert {name for name, values in whole.methods.items() if not values} == {CONTROL}


def test_the_wrong_references_know_the_other_half_and_no_more(run):
    """The weights are those of a training on everything but the half that ``digits`` forgets. Fails
    if the class is left out whole, or not at all: the ratio would be undefined, or that of
    Original."""
    ours = study.half_trained(run)[HALF, 0]
    half = open_run("digits", run.folder.parent / "half", seeds=[0], settings=SMALL)
    x, y = half.pair("retain")
    assert int((y == 9).sum()) == int((run.data.train[1] == 9).sum()) - len(half.split.forget) > 0
    by_hand = build(run.scenario.model, 1, 10, seed=0, bounds=run.data.bounds)
    fit(by_hand, x, y, run.scenario.training(HALF), seed=0)
    for own, other in zip(ours.parameters(), by_hand.parameters(), strict=True):
        assert torch.equal(own, other)


def test_ratios_are_to_the_wrong_references_and_differences_to_the_right_ones(run):
    """Fails if the two kinds are taken for each other: re-trained models never say the class, so a
    ratio to them is undefined and the difference is the model's own share."""
    frame = study.against_half_trained(run)
    assert set(frame.method) == {"Original", "GD", "Re-train"}
    assert (frame.reference_accuracy == 0).all()
    assert np.allclose(frame.difference, frame.forget_accuracy)
    assert (frame.half_accuracy > 0.5).all()
    assert np.allclose(frame.half_ratio, frame.forget_accuracy / frame.half_accuracy)
    assert (run.folder / "class_references.csv").exists()
    keys = ["method", "seed", "tau"]
    both = frame.merge(study.measure(run), on=keys, suffixes=("", "_measured"))
    assert len(both) == len(frame)
    assert np.allclose(both.difference, both.difference_measured)


def test_what_has_no_such_references_is_refused(tmp_path):
    half = open_run("digits", tmp_path / "half", seeds=[0], settings=SMALL)
    with pytest.raises(InputError, match="some of class 9 is retained"):
        study.half_trained(half)
    laws = {**SMALL, "perturbations": ["pgd"]}
    with pytest.raises(InputError, match="'pgd' searches on each model"):
        study.against_half_trained(open_run("digits-class", tmp_path / "c", settings=laws))
