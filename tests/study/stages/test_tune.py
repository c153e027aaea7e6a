"""Tuning: the rehearsal keeps away from what is reported; every method gets the same; the best of
the trials is the best."""

import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from rurklib import metrics, study
from rurklib.checks import InputError
from rurklib.study.cli.main import main
from rurklib.study.run import open_run
from rurklib.study.stages import tune
from rurklib.unlearn.contract import METHODS, SEARCH, check, defaults, unlearn

SMALL = {"epochs": 2, "references": 2, "taus": [0.0, 0.2]}


def rehearsal(folder, seeds=(900,), **settings):
    return open_run("digits", folder, seeds=seeds, settings={**SMALL, **settings}, rehearsal=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return rehearsal(tmp_path_factory.mktemp("runs") / "digits-tune")


@pytest.fixture(scope="module")
def table(run):
    return tune.tune(run, methods=["GD", "SSD"], budget=3)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8, 1.0])
def test_the_rehearsal_touches_nothing_that_is_reported(tmp_path, share):
    """Fails if tuning sees a reported forget sample as forgotten, or any test sample."""
    real = open_run("digits", tmp_path / "a", settings={**SMALL, "forget_share": share}).split
    own = rehearsal(tmp_path / "b", forget_share=share).split
    assert not set(own.forget) & set(real.forget)
    assert own.test == real.validation
    assert not set(own.test) & set(real.test)
    assert own.original == real.original, "the rehearsal's Original isn't trained on the same data"
    if share <= 0.5:
        assert len(own.forget) == len(real.forget)
        assert own.forget_class == real.forget_class
    assert (own.forget_class == real.forget_class) == (share < 1)


def test_every_method_has_the_same_budget_and_starts_with_the_defaults(run, table):
    counts = table.groupby("method").trial.nunique()
    assert counts.to_dict() == {"GD": 3, "SSD": 3}
    first = table[table.trial == 0]
    assert (first.settings == "").all()
    assert table[table.trial > 0].settings.is_unique


def test_the_score_is_the_distance_to_the_retrained_models(run, table):
    """Worked out again from the models, without the code under test."""
    references = study.load_models(run, run.names("Re-train")).values()
    (original,) = study.load_models(run, [("Original", 900)]).values()
    retain, forget, test = (run.pair(p) for p in ("retain", "forget", "test"))
    model = unlearn("GD", original, retain, forget, seed=900)
    row = table[(table.method == "GD") & (table.trial == 0)].iloc[0]

    def away(pair) -> float:
        target = np.mean([metrics.accuracy(r, *pair) for r in references])
        return abs(metrics.accuracy(model, *pair) - target)

    assert row.retain == pytest.approx(away(retain))
    assert row.unlearn == pytest.approx(away(forget))
    assert row.validation == pytest.approx(away(test))
    assert row.score == pytest.approx(row[["retain", "unlearn", "validation", "nearby"]].mean())


def test_a_model_that_is_as_the_references_scores_best(run, table, monkeypatch):
    """Fails if the score rewards anything but nearness: the planted answer must win."""
    (reference, *_) = study.load_models(run, run.names("Re-train")).values()

    def planted(model, retain, forget, *, seed=0, lr=1.0):
        if lr < 0.5:
            model.load_state_dict(reference.state_dict())
        return model

    for name in ("GA",):
        monkeypatch.setitem(METHODS, name, planted)
        monkeypatch.setitem(SEARCH, name, {"lr": [0.1, 1.0]})
    found = tune.tune(run, methods=["GA"], budget=6, seed=3)
    assert {"lr=0.1", "lr=1.0"} <= set(found.settings)
    assert tune.best(found) == {"GA.lr": 0.1}


def test_only_the_best_trials_are_made_on_every_original(tmp_path, monkeypatch):
    """Fails if a trial that is good on two Originals and destroys the third is chosen."""
    run = rehearsal(tmp_path / "r", seeds=[900, 901, 902])

    def brittle(model, retain, forget, *, seed=0, lr=0.0):
        if (0.05 < lr < 0.5 and seed == 902) or lr > 0.5:
            for p in model.parameters():
                p.data.zero_()
        return model

    monkeypatch.setitem(METHODS, "GA", brittle)
    drawn = [{}, {"lr": 0.1}, {"lr": 0.01}, {"lr": 1.0}, {"lr": 2.0}]
    monkeypatch.setattr(tune, "settings_of", lambda name, budget, seed: drawn)
    table = tune.tune(run, methods=["GA"], budget=5)
    made = table.groupby("trial").seed.apply(list).to_dict()
    assert made == {0: [900, 901, 902], 1: [900, 901, 902], 2: [900, 901, 902],
                    3: [900, 901], 4: [900, 901]}  # fmt: skip
    assert tune.best(table) in ({}, {"GA.lr": 0.01})
    score = tune.chosen_trials(table).score[0]
    assert score == pytest.approx(table[table.trial == 2].score.mean())


def test_finished_trials_are_kept(run, table):
    stamps = {p: p.stat().st_mtime_ns for p in (run.folder / "trials").glob("GD-*.json")}
    assert len(stamps) == 3
    again = tune.tune(run, methods=["GD", "SSD"], budget=3)
    pd.testing.assert_frame_equal(again, table)
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps
    more = tune.tune(run, methods=["GD"], budget=4)
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps, "a larger budget began anew"
    assert more.trial.max() == 3


@pytest.mark.parametrize("name", METHODS)
def test_spaces_name_hyperparameters_that_exist_and_hold_usable_values(name):
    assert SEARCH[name], f"{name} has no search space"
    for values in tune.settings_of(name, 40):
        check(name, values)
        for key, value in values.items():
            assert key in defaults(name)
            where = SEARCH[name][key]
            assert value in where if isinstance(where, list) else where[0] <= value <= where[1]


@pytest.mark.parametrize("name", METHODS)
def test_spaces_hold_no_combination_that_a_method_refuses(name, cnn, images):
    """Fails if two values, each usable, exclude one another: a search would die in the middle."""
    x, y = images(15)
    for values in tune.settings_of(name, 12)[1:]:
        if "k" in values:
            values["k"] = min(values["k"], 2)  # this net has no more layers
        unlearn(name, cnn(), (x[:9], y[:9]), (x[9::3], y[9::3]), **values)  # class 0


def test_a_study_is_not_tuned_and_experiment_seeds_stay_apart(tmp_path):
    study_run = open_run("digits", tmp_path / "r", seeds=[0], settings=SMALL)
    with pytest.raises(InputError, match="needs a rehearsal"):
        tune.tune(study_run)
    with pytest.raises(InputError, match="kind 'study', not 'rehearsal'"):
        rehearsal(tmp_path / "r")


def test_the_command_writes_settings_that_a_study_takes(tmp_path):
    words = ["tune", "--out", str(tmp_path / "t"), "--methods", "GD", "--budget", "2", "--seeds",
             "900", "--references", "2", "--set", "epochs=1", "--set", "taus=0,0.2"]  # fmt: skip
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    settings = json.loads((tmp_path / "t" / "settings.json").read_text())
    assert settings.keys() <= {"GD.lr", "GD.epochs"}
    assert open_run("digits", tmp_path / "s", settings=settings).scenario.methods["GD"] == {
        k.removeprefix("GD."): v for k, v in settings.items()
    }
    assert not (tmp_path / "t" / "notebooks").exists()


def test_tuning_one_method_keeps_what_is_known_of_the_others(run, table):
    """Fails if a second command throws the first one's trials away."""
    tune.tune(run, methods=["GD", "SSD"], budget=3)
    tune.tune(run, methods=["GD"], budget=2)
    kept = pd.read_csv(run.folder / "trials.csv", keep_default_na=False)
    assert kept[kept.method == "SSD"].trial.nunique() == 3
    assert kept[kept.method == "GD"].trial.nunique() == 2
    assert any(
        k.startswith("SSD.") for k in json.loads((run.folder / "settings.json").read_text())
    ) == (tune.best(table[table.method == "SSD"]) != {})


def test_a_diverged_trial_has_the_worst_score(run, table, monkeypatch):
    """Fails if a model of NaNs is scored by its argmax, which is class 0 for every sample."""

    def broken(model, retain, forget, *, seed=0, lr=0.0):
        for p in model.parameters():
            p.data.fill_(float("nan"))
        return model

    monkeypatch.setitem(METHODS, "GA", broken)
    monkeypatch.setattr(tune, "settings_of", lambda name, budget, seed: [{}])
    assert (tune.tune(run, methods=["GA"], budget=1).score == 100).all()


def test_the_defaults_are_compared_on_the_same_originals():
    """By hand: trial 1 is made on a third Original, trial 0 is not."""
    rows = [("GD", 0, 1, "", 4.0), ("GD", 0, 2, "", 6.0), ("GD", 1, 1, "lr=0.1", 1.0),
            ("GD", 1, 2, "lr=0.1", 3.0), ("GD", 1, 3, "lr=0.1", 8.0)]  # fmt: skip
    table = pd.DataFrame(rows, columns=["method", "trial", "seed", "settings", "score"])
    (row,) = tune.chosen_trials(table).itertuples()
    assert (row.trial, row.defaults, row.screened, row.score) == (1, 5.0, 2.0, 4.0)
