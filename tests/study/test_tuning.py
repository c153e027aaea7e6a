"""Tuning: the rehearsal keeps away from what is reported; every method gets the same trials; the
best of them wins."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from rurklib.metrics.accuracy import accuracy
from rurklib.study import tuning
from rurklib.study.models import load_models
from rurklib.study.run import ModelId, open_run
from rurklib.study.scenario import SCENARIOS
from rurklib.unlearn.contract import METHODS, SEARCH, check, defaults, unlearn

SMALL = {"training.epochs": 4, "references": 2, "taus": [0.0, 0.2], "train_images": 300, "draws": 9}


def rehearsal(folder, seeds=(900,), **settings):
    return open_run("digits", folder, seeds=seeds, settings=SMALL | settings, rehearsal=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return rehearsal(tmp_path_factory.mktemp("runs") / "digits-tune")


@pytest.fixture(scope="module")
def table(run):
    return tuning.tune(run, methods=["GD", "SSD"], budget=3)


@pytest.fixture
def planted(monkeypatch):
    """``planted(change, *rates)``: GA calls ``change(model, seed, lr)``, once a rate."""

    def plant(change, *rates):
        def method(model, retain, forget, *, seed=0, lr=1.0):
            change(model, seed, lr)
            return model

        monkeypatch.setitem(METHODS, "GA", method)
        drawn = [{}, *({"lr": lr} for lr in rates)]
        monkeypatch.setattr(tuning, "settings_of", lambda name, budget, seed: drawn)

    return plant


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8, 1.0])
def test_the_rehearsal_touches_nothing_that_is_reported(tmp_path, share):
    """Fails if tuning forgets a reported forget sample, or looks at any test sample."""
    study = open_run("digits", tmp_path / "a", settings=SMALL | {"forget_share": share})
    tuned = rehearsal(tmp_path / "b", forget_share=share)
    reported = [study.pair(part)[0] for part in ("test", "held_out")]
    for run in (study, tuned):
        assert torch.equal(run.validation[0], study.pair("validation")[0])
        spare = {x.numpy().tobytes() for x in run.validation[0]}
        for x in (run.pair("original")[0], *reported):
            assert not spare & {one.numpy().tobytes() for one in x}
    real, rehearsed = study.split, tuned.split
    assert not set(rehearsed.forget) & set(real.forget)
    assert rehearsed.test == real.validation
    assert not set(rehearsed.test) & set(real.test)
    assert rehearsed.original == real.original
    assert (rehearsed.forget_class == real.forget_class) == (share < 1)
    assert share > 0.5 or len(rehearsed.forget) == len(real.forget)


def test_every_method_has_the_same_budget_and_starts_with_the_defaults(table):
    """Fails too if defaults that win leave a scenario's other values in place."""
    assert table.groupby("method").trial.nunique().to_dict() == {"GD": 3, "SSD": 3}
    assert table.settings.nunique() == 6
    settings = tuning.best(table[(table.method == "GD") & (table.trial == 0)])
    assert SCENARIOS["cifar5"].methods["GD"], "chosen because it has values that aren't defaults"
    chosen = SCENARIOS["cifar5"].changed(settings).hyperparameters("GD")
    assert {k: chosen[k] for k in SEARCH["GD"]} == {k: defaults("GD")[k] for k in SEARCH["GD"]}


def test_the_score_is_the_distance_to_the_retrained_models(run, table):
    """Worked out again from the models, without the code under test."""
    references = load_models(run, run.names("Re-train")).values()
    original = load_models(run, [ModelId("Original", 900)])["Original", 900]
    model = unlearn("GD", original, run.pair("retain"), run.pair("forget"), seed=900)
    row = table[(table.method == "GD") & (table.trial == 0)].iloc[0]
    for column, part in {"retain": "retain", "unlearn": "forget", "validation": "test"}.items():
        target = np.mean([accuracy(r, *run.pair(part)) for r in references])
        assert row[column] == pytest.approx(abs(accuracy(model, *run.pair(part)) - target))
    assert row.score == pytest.approx(row[["retain", "unlearn", "validation", "nearby"]].mean())


def test_a_model_that_is_as_the_references_scores_best(run, table, planted):
    """Fails if the score rewards anything but nearness."""
    answer = next(iter(load_models(run, run.names("Re-train")).values())).state_dict()
    planted(lambda model, seed, lr: lr < 0.5 and model.load_state_dict(answer), 2.0, 0.1, 3.0)
    assert tuning.best(tuning.tune(run, methods=["GA"])) == {"GA.lr": 0.1}


def test_only_the_best_trials_are_made_on_every_original(tmp_path, planted):
    """Fails if a trial that is good on two Originals and destroys the third is chosen."""
    run = rehearsal(tmp_path / "r", [900, 901, 902])
    destroyed = [(0.1, 902), (2.0, 900), (2.0, 901), (3.0, 900), (3.0, 901)]

    def change(model, seed, lr):
        for p in model.parameters() if (lr, seed) in destroyed else ():
            p.data.zero_()

    planted(change, 0.1, 0.01, 2.0, 3.0)
    table = tuning.tune(run, methods=["GA"])
    made = table.groupby("trial").seed.apply(list).to_dict()
    assert made == {t: [900, 901, 902] if t < 3 else [900, 901] for t in range(5)}
    assert tuning.best(table) in ({}, {"GA.lr": 0.01})
    assert tuning.chosen_trials(table).score[0] == pytest.approx(
        table[table.trial == 2].score.mean()
    )


def test_a_diverged_trial_has_the_worst_score(run, table, planted, monkeypatch):
    """Fails if a model of NaNs is scored by its argmax, which is class 0 for every sample."""
    planted(None)  # one trial

    def diverging(*args, seed=0, **values):
        return METHODS["GD"](*args, seed=seed, lr=1e30, epochs=2)

    monkeypatch.setitem(METHODS, "GA", diverging)
    assert (tuning.tune(run, methods=["GA"]).score == 100).all()
    assert tuning.trials(run, "GA", [{"lr": 0.1}]).test_accuracy.isna().all()


def test_finished_trials_are_kept_and_other_methods_with_them(run, table):
    """Fails if a larger budget begins anew, or a second command throws the first's trials away."""
    stamps = {p: p.stat().st_mtime_ns for p in (run.folder / "trials").glob("GD-*.json")}
    pd.testing.assert_frame_equal(tuning.tune(run, methods=["GD", "SSD"], budget=3), table)
    tuning.tune(run, methods=["GD"], budget=4)
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps
    kept = pd.read_csv(run.folder / "trials.csv", keep_default_na=False)
    counts = kept.groupby("method").trial.nunique()
    assert (counts["GD"], counts["SSD"]) == (4, 3)
    settings = json.loads((run.folder / "settings.json").read_text())
    assert settings == tuning.best(kept)


def test_trials_of_a_grid_are_the_methods_models(run, table):
    """By hand. Fails if an entry is left out, the scenario's values don't stand behind it, or a
    trial makes more copies than the study's 9."""
    original = load_models(run, [ModelId("Original", 900)])["Original", 900]
    retain, forget, test = (run.pair(p) for p in ("retain", "forget", "test"))
    grid = [{"lr": 0.01}, {"lr": 0.3, "epochs": 1}]
    for entry, row in zip(grid, tuning.trials(run, "GD", grid).itertuples(), strict=True):
        values = {**run.scenario.hyperparameters("GD"), **entry}
        model = unlearn("GD", original, retain, forget, seed=900, **values)
        assert row.retain_accuracy == accuracy(model, *retain)
        assert row.unlearn_accuracy == 100 - accuracy(model, *forget)
        assert row.test_accuracy == accuracy(model, *test)
        hits = row.nearby_accuracy / 100 * 9 * len(forget[1])
        assert hits == pytest.approx(round(hits), abs=1e-6)


@pytest.mark.parametrize("name", [n for n in METHODS if n != "Retrain-quarter"])  # isn't tuned
def test_spaces_hold_usable_values_and_no_combination_that_a_method_refuses(name, cnn, images):
    """Fails if two values, each usable, exclude one another: a search would die in the middle."""
    first, *drawn = tuning.settings_of(name, 40)
    assert first == {key: defaults(name)[key] for key in SEARCH[name]}
    assert len(drawn) == 39
    assert drawn[:5] == tuning.settings_of(name, 6)[1:]
    assert drawn != tuning.settings_of(name, 40, seed=1)[1:]
    for values in drawn:
        check(name, values)
        for key, where in SEARCH[name].items():
            value = values[key]
            assert value in where if isinstance(where, list) else where[0] <= value <= where[1]
    x, y = images(15)
    for values in drawn[:5]:
        if "k" in values:
            values["k"] = min(values["k"], 2)  # this net has no more layers
        unlearn(name, cnn(), (x[:9], y[:9]), (x[9::3], y[9::3]), **values)  # class 0


def test_the_command_writes_settings_that_a_study_takes(tmp_path, rurk):
    words = ["--methods", "GD", "--budget", "2", "--seeds", "900", "--references", "2"]
    changes = ["--set", "training.epochs=1", "--set", "taus=0,0.2"]
    done = rurk("tune", "--out", str(tmp_path / "t"), *words, *changes)
    assert done.exit_code == 0, done.output
    settings = json.loads((tmp_path / "t" / "settings.json").read_text())
    assert settings.keys() == {f"GD.{key}" for key in SEARCH["GD"]}
    chosen = open_run("digits", tmp_path / "s", settings=settings).scenario.methods["GD"]
    assert {f"GD.{k}": v for k, v in chosen.items()} == settings


def test_the_defaults_are_compared_on_the_same_originals():
    """By hand: trial 1 is made on a third Original, trial 0 is not; seeds are in no order."""
    table = pd.DataFrame({"method": "GD", "trial": [0, 0, 1, 1, 1]})
    table["seed"] = [902, 903, 902, 903, 900]
    table["settings"] = ["", "", *["lr=0.1"] * 3]
    table["score"] = [4.0, 6.0, 1.0, 3.0, 8.0]
    (row,) = tuning.chosen_trials(table).itertuples()
    assert (row.trial, row.defaults, row.screened, row.score) == (1, 5.0, 2.0, 4.0)
