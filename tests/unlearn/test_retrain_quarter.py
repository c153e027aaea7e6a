"""Retrain-quarter: a training of a quarter of the length, which nothing of Original enters."""

from dataclasses import replace

import pytest

from rurklib import study, unlearn
from rurklib.study.ids import ModelId
from rurklib.train import Recipe, fit
from rurklib.unlearn.last_layers import reset
from rurklib.unlearn.retrain_quarter import shortened

RECIPE = Recipe(epochs=8, lr=0.1, batch_size=4, warmup=2.0, label_smoothing=0.1)


def test_it_is_a_training_from_new_weights_of_two_epochs_for_eight(cnn, task, same):
    """Two Originals, one model, to the bit: that of a training by the recipe in a quarter of the
    epochs. Fails if a weight or statistic of Original stays, the schedule is that of the long
    training (its rate wouldn't reach 0), or part of the recipe is lost."""
    _, retain, forget = task
    one, other = (
        unlearn("Retrain-quarter", cnn(k), retain, forget, seed=3, recipe=RECIPE) for k in (0, 1)
    )
    assert same(one, other)
    fresh = cnn(2)
    reset([fresh], 3)
    assert same(one, fit(fresh, *retain, replace(RECIPE, epochs=2, warmup=0.5), seed=3))


@pytest.mark.parametrize(
    ("epochs", "share", "expected"), [(30, 0.25, 7), (8, 0.25, 2), (3, 0.25, 1), (8, 1.0, 8)]
)
def test_no_more_epochs_than_the_share_but_one(epochs, share, expected):
    """Fails if 7.5 epochs are rounded up: the control would cost more than a quarter."""
    assert shortened(replace(RECIPE, epochs=epochs), share).epochs == expected


def test_a_study_tells_its_recipe(tmp_path, same):
    """That of re-trained models, whatever ``--set`` changed. Fails if the method's own default is
    used, Original's recipe, or if another recipe doesn't make the model again."""
    settings = {"epochs": 1, "references": 2, "methods": ["Retrain-quarter"]}
    run = study.open_run("digits", tmp_path / "run", seeds=[0], settings=settings)
    run = replace(run, scenario=replace(run.scenario, retrain_epochs=5))
    model = study.train(run)[ModelId("Original", 0)]
    made = study.unlearn(run)[ModelId("Retrain-quarter", 0)]
    pairs = run.pair("retain"), run.pair("forget")
    told = replace(run.scenario.recipe, epochs=5)
    assert same(made, unlearn("Retrain-quarter", model, *pairs, seed=0, recipe=told))
    longer = replace(run, scenario=replace(run.scenario, retrain_epochs=9))
    study.train(longer)
    assert not same(made, study.unlearn(longer)[ModelId("Retrain-quarter", 0)])
