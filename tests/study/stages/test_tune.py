"""Tuning: the rehearsal keeps away from what is reported; every method gets the same; the best of
the trials is the best."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from rurklib.metrics.accuracy import accuracy
from rurklib.residual.counts import count
from rurklib.study import tuning as tune
from rurklib.study.models import load_models, train
from rurklib.study.run import ModelId, open_run
from rurklib.study.scenario import SCENARIOS
from rurklib.study.tuning import trials
from rurklib.unlearn.contract import METHODS, SEARCH, check, defaults, unlearn

SMALL = {"training.epochs": 4, "references": 2, "taus": [0.0, 0.2], "train_images": 300}


def rehearsal(folder, seeds=(900,), **settings):
    return open_run("digits", folder, seeds=seeds, settings={**SMALL, **settings}, rehearsal=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return rehearsal(tmp_path_factory.mktemp("runs") / "digits-tune")


@pytest.fixture(scope="module")
def table(run):
    return tune.tune(run, methods=["GD", "SSD"], budget=3)


@pytest.fixture
def planted(monkeypatch):
    """``planted(change)``: GA becomes a method that calls ``change(model, seed, lr)``; its trials
    are the given values of lr."""

    def plant(change, *rates):
        def method(model, retain, forget, *, seed=0, lr=1.0):
            change(model, seed, lr)
            return model

        monkeypatch.setitem(METHODS, "GA", method)
        drawn = [{}, *({"lr": lr} for lr in rates)]
        monkeypatch.setattr(tune, "settings_of", lambda name, budget, seed: drawn)

    return plant


@pytest.mark.parametrize(("asked", "shown"), [({}, 20), ({"draws": 3}, 3)])
def test_a_trial_shows_no_more_copies_than_the_study(tmp_path, monkeypatch, asked, shown):
    """Fails if a study of two copies an image is tuned by twenty."""
    run, seen = rehearsal(tmp_path / "t", **SMALL | asked), []
    train(run)

    def counted(models, x, y, asked):
        seen.append(asked.draws)
        return count(models, x, y, asked)

    monkeypatch.setattr(tune, "count", counted)
    found = tune.trial(run, "GA", 900, {})
    assert seen == [shown]
    assert 0 <= found["nearby"][0] <= 100


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8, 1.0])
def test_the_rehearsal_touches_nothing_that_is_reported(tmp_path, share):
    """Fails if tuning sees a reported forget sample as forgotten, or any test sample; or if samples
    that nobody trains on, the validation part's, are among those that are reported."""
    runs = (
        open_run("digits", tmp_path / "a", settings={**SMALL, "forget_share": share}),
        rehearsal(tmp_path / "b", forget_share=share),
    )
    real, own = (run.split for run in runs)
    for run in runs:
        assert torch.equal(run.validation[0], runs[0].pair("validation")[0])
        spare = {x.numpy().tobytes() for x in run.validation[0]}
        for x in (run.pair("original")[0], *(runs[0].pair(p)[0] for p in ("test", "held_out"))):
            assert not spare & {one.numpy().tobytes() for one in x}
    assert not set(own.forget) & set(real.forget)
    assert own.test == real.validation
    assert not set(own.test) & set(real.test)
    assert own.original == real.original, "the rehearsal's Original isn't trained on the same data"
    if share <= 0.5:
        assert len(own.forget) == len(real.forget)
        assert own.forget_class == real.forget_class
    assert (own.forget_class == real.forget_class) == (share < 1)


def test_every_method_has_the_same_budget_and_starts_with_the_defaults(table):
    assert table.groupby("method").trial.nunique().to_dict() == {"GD": 3, "SSD": 3}
    assert table.settings.nunique() == 6
    for name, (tried, *_) in table[table.trial == 0].groupby("method").settings:
        usual = defaults(name)
        assert tried == "; ".join(f"{key}={usual[key]!r}" for key in SEARCH[name])


def test_defaults_that_win_replace_the_values_that_a_scenario_had(table):
    """Fails if the best trial is written as nothing, so that a study keeps its old values."""
    first = table[(table.method == "GD") & (table.trial == 0)]
    settings, old = tune.best(first), SCENARIOS["cifar5"].methods["GD"]
    chosen = SCENARIOS["cifar5"].changed(settings).hyperparameters("GD")
    assert old, "this scenario was chosen because it has values of its own"
    assert {key: chosen[key] for key in SEARCH["GD"]} == {
        k: defaults("GD")[k] for k in SEARCH["GD"]
    }


def test_the_score_is_the_distance_to_the_retrained_models(run, table):
    """Worked out again from the models, without the code under test."""
    references = load_models(run, run.names("Re-train")).values()
    (original,) = load_models(run, [ModelId("Original", 900)]).values()
    pairs = {"retain": "retain", "unlearn": "forget", "validation": "test"}
    retain, forget, _ = (run.pair(p) for p in pairs.values())
    model = unlearn("GD", original, retain, forget, seed=900)
    row = table[(table.method == "GD") & (table.trial == 0)].iloc[0]
    for column, part in pairs.items():
        target = np.mean([accuracy(r, *run.pair(part)) for r in references])
        assert row[column] == pytest.approx(abs(accuracy(model, *run.pair(part)) - target))
    assert row.score == pytest.approx(row[["retain", "unlearn", "validation", "nearby"]].mean())


def test_a_model_that_is_as_the_references_scores_best(run, table, planted):
    """Fails if the score rewards anything but nearness: the planted answer must win."""
    (reference, *_) = load_models(run, run.names("Re-train")).values()
    answer = reference.state_dict()
    planted(lambda model, seed, lr: lr < 0.5 and model.load_state_dict(answer), 2.0, 0.1, 3.0)
    assert tune.best(tune.tune(run, methods=["GA"])) == {"GA.lr": 0.1}


def zeros(model):
    for p in model.parameters():
        p.data.zero_()


def test_only_the_best_trials_are_made_on_every_original(tmp_path, planted):
    """Fails if a trial that is good on two Originals and destroys the third is chosen."""
    run, two, three = (
        rehearsal(tmp_path / "r", [900, 901, 902], epochs=8),
        [900, 901],
        [900, 901, 902],
    )
    brittle = [(0.1, 902), (2.0, 900), (2.0, 901), (3.0, 900), (3.0, 901)]
    planted(lambda model, seed, lr: (lr, seed) in brittle and zeros(model), 0.1, 0.01, 2.0, 3.0)
    table = tune.tune(run, methods=["GA"])
    made = table.groupby("trial").seed.apply(list).to_dict()
    assert made == {0: three, 1: three, 2: three, 3: two, 4: two}
    assert tune.best(table) in ({}, {"GA.lr": 0.01})
    score = tune.chosen_trials(table).score[0]
    assert score == pytest.approx(table[table.trial == 2].score.mean())


def test_a_diverged_trial_has_the_worst_score(run, table, planted, monkeypatch):
    """Fails if a model of NaNs is scored by its argmax, which is class 0 for every sample."""

    def broken(*args, seed=0, **values):
        return METHODS["GD"](*args, seed=seed, lr=1e30, epochs=2)

    planted(None)  # one trial
    monkeypatch.setitem(METHODS, "GA", broken)
    assert (tune.tune(run, methods=["GA"]).score == 100).all()
    assert trials(run, "GA", [{"lr": 0.1}]).test_accuracy.isna().all()


def test_finished_trials_are_kept_and_other_methods_with_them(run, table):
    """Fails if a larger budget begins anew, or a second command throws the first's trials away."""
    stamps = {p: p.stat().st_mtime_ns for p in (run.folder / "trials").glob("GD-*.json")}
    assert len(stamps) == 3
    again = tune.tune(run, methods=["GD", "SSD"], budget=3)
    pd.testing.assert_frame_equal(again, table)
    more = tune.tune(run, methods=["GD"], budget=4)
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps
    assert more.trial.max() == 3
    kept = pd.read_csv(run.folder / "trials.csv", keep_default_na=False)
    counts = kept.groupby("method").trial.nunique()
    assert (counts["GD"], counts["SSD"]) == (4, 3)
    settings = json.loads((run.folder / "settings.json").read_text())
    own = {k: v for k, v in settings.items() if k.startswith("SSD.")}
    assert own == tune.best(table[table.method == "SSD"])


def test_trials_of_a_grid_are_the_methods_models(run, table):
    """By hand. Fails if an entry is left out, or the scenario's values don't stand behind it."""
    (original,) = load_models(run, [ModelId("Original", 900)]).values()
    retain, forget, test = (run.pair(p) for p in ("retain", "forget", "test"))
    grid = [{"lr": 0.01}, {"lr": 0.3, "epochs": 1}]
    frame = trials(run, "GD", grid)
    told = [f"{part}_accuracy" for part in ("retain", "unlearn", "test", "nearby")]
    assert frame.columns.tolist() == ["lr", "seed", *told, "epochs"]
    for entry, row in zip(grid, frame.itertuples(), strict=True):
        values = {**run.scenario.hyperparameters("GD"), **entry}
        model = unlearn("GD", original, retain, forget, seed=900, **values)
        assert row.retain_accuracy == accuracy(model, *retain)
        assert row.unlearn_accuracy == 100 - accuracy(model, *forget)
        assert row.test_accuracy == accuracy(model, *test)


@pytest.mark.parametrize("name", [n for n in METHODS if n != "Retrain-quarter"])  # isn't tuned
def test_spaces_hold_usable_values_and_no_combination_that_a_method_refuses(name, cnn, images):
    """Fails if two values, each usable, exclude one another: a search would die in the middle."""
    assert SEARCH[name], f"{name} has no search space"
    tried = tune.settings_of(name, 40)
    for trial, values in enumerate(tried):
        check(name, values)
        for key, value in values.items():
            assert key in defaults(name)
            where = SEARCH[name][key] if trial else [defaults(name)[key]]
            assert value in where if isinstance(where, list) else where[0] <= value <= where[1]
    x, y = images(15)
    for values in tried[1:6]:
        if "k" in values:
            values["k"] = min(values["k"], 2)  # this net has no more layers
        unlearn(name, cnn(), (x[:9], y[:9]), (x[9::3], y[9::3]), **values)  # class 0


def test_the_command_writes_settings_that_a_study_takes(tmp_path, rurk):
    words = ["tune", "--out", str(tmp_path / "t"), "--methods", "GD", "--budget", "2", "--seeds",
             "900", "--references", "2", "--set", "training.epochs=1",
             "--set", "taus=0,0.2"]  # fmt: skip
    done = rurk(*words)
    assert done.exit_code == 0, done.output
    settings = json.loads((tmp_path / "t" / "settings.json").read_text())
    assert settings.keys() == {f"GD.{key}" for key in SEARCH["GD"]}
    chosen = open_run("digits", tmp_path / "s", settings=settings).scenario.methods["GD"]
    assert {f"GD.{k}": v for k, v in chosen.items()} == settings
    assert not (tmp_path / "t" / "notebooks").exists()


def test_the_defaults_are_compared_on_the_same_originals():
    """By hand: trial 1 is made on a third Original, trial 0 is not."""
    rows = [("GD", 0, 1, "", 4.0), ("GD", 0, 2, "", 6.0), ("GD", 1, 1, "lr=0.1", 1.0),
            ("GD", 1, 2, "lr=0.1", 3.0), ("GD", 1, 3, "lr=0.1", 8.0)]  # fmt: skip
    table = pd.DataFrame(rows, columns=["method", "trial", "seed", "settings", "score"])
    (row,) = tune.chosen_trials(table).itertuples()
    assert (row.trial, row.defaults, row.screened, row.score) == (1, 5.0, 2.0, 4.0)
    mixed = table.assign(
        seed=table.seed.map({1: 902, 2: 903, 3: 900})
    )  # the first aren't the least
    assert tune.chosen_trials(mixed).equals(tune.chosen_trials(table))
