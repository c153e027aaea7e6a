"""summary.csv: each column against an answer worked out beside it, on one small run."""

import numpy as np
import pandas as pd
import pytest

from rurklib import InputError, metrics, study
from rurklib.study import files
from rurklib.study.report.tables import results_table
from rurklib.study.run import open_run
from rurklib.study.stages.summary import COLUMNS, summarise

SMALL = {
    "epochs": 6,
    "references": 3,
    "draws": 5,
    "taus": [0.0, 0.2],
    "GD.epochs": 1,
    "EU-k.epochs": 1,
    "CF-k.epochs": 1,
    "NTK.iterations": 2,
}


def made(folder, **settings):
    run = open_run("digits", folder, seeds=[0], settings={**SMALL, **settings})
    study.train(run)
    study.unlearn(run)
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return made(tmp_path_factory.mktemp("runs") / "digits")


@pytest.fixture(scope="module")
def summary(run):
    return summarise(run)


def test_every_method_of_the_paper_has_its_row(summary):
    assert list(summary.columns) == list(COLUMNS)
    assert list(summary.method.unique()) == [
        "Original", "Re-train", "CR", "Fisher", "NTK", "GD", "NGD", "GA", "NegGrad+", "EU-k",
        "CF-k", "SCRUB", "SSD", "l1-sparse", "RandomLabels", "SalUn", "BadTeacher", "AMUN",
        "BoundaryShrink", "WoodFisher", "RURK",
    ]  # fmt: skip
    assert not summary.isna().any().any()


def test_original_needs_no_epoch_and_a_model_of_another_world_some(summary):
    """Fails if the yardstick is another model's loss than Original's."""
    epochs = summary.set_index("method").relearn_epochs
    assert epochs["Original"] == 0
    assert (epochs["Re-train"] > 0).all()


def test_a_reference_is_judged_by_the_others_alone(run, summary):
    """Fails if a reference is among its own references: its attack would be blunted."""
    names = run.names("Re-train")
    nets = study.load_models(run, names)
    sides = [run.pair("forget"), run.pair("held_out")]
    own = [metrics.confidence(nets[names[0]], *side).numpy() for side in sides]
    out = [np.stack([metrics.confidence(nets[n], *s).numpy() for n in names[1:]]) for s in sides]
    expected = metrics.lira(own[0], out[0], own[1], out[1])
    row = summary[(summary.method == "Re-train") & (summary.seed == names[0][1])].iloc[0]
    assert row.lira_auc == pytest.approx(expected.auc)
    assert row.lira_mean_z == pytest.approx(expected.mean_z)


def test_seconds_are_those_of_the_making_and_their_share_that_of_retraining(run, summary):
    rows = summary.set_index(["method", "seed"])
    for name in run.trained + run.unlearned:
        record = files.load_weights(run.checkpoint(name))[2]
        assert rows.seconds[name] == record["seconds"] > 0
    retrain = rows.seconds["Re-train"].mean()
    np.testing.assert_allclose(rows.share_of_retrain, rows.seconds / retrain)


def test_the_gap_is_over_the_four_percentages(summary):
    four = ["retain_accuracy", "unlearn_accuracy", "test_accuracy", "mia"]
    retrain = summary[summary.method == "Re-train"][four].mean()
    np.testing.assert_allclose(
        summary.average_gap, (summary[four] - retrain).abs().mean(axis=1), atol=1e-9
    )


def test_two_references_leave_no_world_to_compare_a_reference_with(tmp_path):
    """One other reference has no spread: NaN for the references, a number for the others."""
    summary = summarise(made(tmp_path / "digits", references=2))
    isnan = summary.set_index("method").lira_auc.isna()
    assert isnan["Re-train"].all()
    assert not isnan.drop("Re-train").any()


def test_a_forgotten_class_is_judged_by_the_other_classes_and_by_differences(tmp_path):
    """Fails if test accuracy still asks for the forgotten class, or the ratio is made up where
    no reference ever says it."""
    run = made(tmp_path / "digits", forget_share=1.0)
    summary = summarise(run)
    retrain = summary[summary.method == "Re-train"]
    assert (retrain.unlearn_accuracy == 100).all()
    x, y = run.pair("test")
    assert len(x) == len(run.split.test) - len(run.split.held_out)
    assert not (y == run.split.forget_class).any()
    model = study.load_models(run, [("Original", 0)])["Original", 0]
    original = summary[summary.method == "Original"].iloc[0]
    assert original.test_accuracy == metrics.accuracy(model, x, y)
    attack = metrics.mia_class(model, *(run.pair(p) for p in ("retain", "forget", "held_out")))
    assert original.mia == attack
    frame = study.measure(run)
    rows = frame[frame.method == "Original"]
    assert rows.ratio_of_means.isna().all()
    assert (rows.undefined_share == 1).all()
    np.testing.assert_allclose(rows.difference, rows.forget_accuracy)
    assert (rows[["null_difference_low", "null_difference_high"]] == 0).all(axis=None)


def test_the_table_has_mean_spread_and_distance():
    rows = pd.DataFrame(
        [
            ["Original", 0, 100, 0, 98, 97, 10, 0.9, 3.0, 0, 5, 2.0, 1.0],
            ["Original", 1, 100, 0, 96, 97, 30, 0.9, 3.0, 0, 5, 2.0, 1.0],
            ["Re-train", 5, 100, 4, 97, 95, 40, 0.5, 0.0, 8, 0, 2.0, 1.0],
            ["Re-train", 6, 100, 8, 97, 93, 60, 0.5, 0.0, 31, 0, 2.0, 1.0],
        ],
        columns=list(COLUMNS),
    )
    table = results_table(rows).set_index("method")
    assert table.at["Original", "unlearn %"] == "0.00 ± 0.00 (6.00)"
    assert table.at["Original", "test %"] == "97.00 ± 1.41 (0.00)"
    assert table.at["Original", "MIA %"] == "20.00 ± 14.14 (30.00)"
    assert table.at["Original", "Avg. Gap"] == "9.00"  # (0 + 6 + 0 + 30) / 4
    assert table.at["Re-train", "unlearn %"] == "6.00 ± 2.83"
    assert table.at["Re-train", "re-learn"] == ">19.5 ± 16.3"
    assert table.at["Original", "of re-training"] == "100 %"


def test_a_class_is_whole_when_nothing_of_it_is_retained(tmp_path):
    """Fails if the share that was asked for decides: 0.995 of 90 nines are all of them."""
    settings = {**SMALL, "forget_share": 0.995}
    run = open_run("digits", tmp_path / "a", seeds=[0], settings=settings)
    assert run.whole_class
    assert not (run.pair("test")[1] == run.split.forget_class).any()
    assert run.title.endswith("digits by small-cnn; all of class 9 forgotten")
    other = open_run(
        "digits", tmp_path / "c", seeds=[0], settings={**SMALL, "model": "small-cnn-wide"}
    )
    assert (
        "digits by small-cnn-wide; " in other.title
    )  # what is trained, not what the scenario would take
    half = open_run("digits", tmp_path / "b", seeds=[0], settings=SMALL)
    assert not half.whole_class
    assert (half.pair("test")[1] == half.split.forget_class).any()


def test_a_diverged_model_is_named(tmp_path):
    """Fails if NaN weights are kept: they would be right about every sample of class 0."""
    settings = {"methods": ["GD"], "GD.lr": 1e9, "references": 2, "epochs": 1}
    run = open_run("digits", tmp_path / "digits", seeds=[0], settings=settings)
    study.train(run)
    with pytest.raises(InputError, match=r"GD seed 0 diverged.*--set GD.lr"):
        study.unlearn(run)
    assert not run.checkpoint(("GD", 0)).exists()
