"""summary.csv: each column against an answer worked out beside it, on one small run."""

import shutil
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest

from rurklib import InputError, metrics, study
from rurklib.metrics.registry import METRICS, metric
from rurklib.metrics.shadow_models import klom
from rurklib.study import store
from rurklib.study.report import results_table
from rurklib.study.run import open_existing, open_run
from rurklib.study.summary import columns, summarise

SMALL = {"training.epochs": 3, "references": 2, "draws": 2, "taus": [0.0, 0.2], "methods": ["GD"],
         "GD.epochs": 1, "train_images": 400}  # fmt: skip


@pytest.fixture(scope="module")
def summary(run):
    return pd.read_csv(run.table("summary.csv"))


def test_original_needs_no_epoch_and_seconds_are_those_of_the_making(run, summary):
    """Fails if a model has no row, or the yardstick of re-learning isn't Original's loss."""
    names = [*run.trained, *run.unlearned]
    rows = summary.set_index(["method", "seed"])
    assert list(rows.index) == [tuple(name) for name in names]
    assert not rows.isna().any().any()
    assert (rows.relearn_epochs["Original"] == 0).all()
    assert (rows.relearn_epochs["Re-train"] > 0).all()
    recorded = [store.read(run.checkpoint(name))[0].record["seconds"] for name in names]
    np.testing.assert_allclose(rows.seconds, recorded)
    np.testing.assert_allclose(
        rows.share_of_retrain, rows.seconds / rows.seconds["Re-train"].mean()
    )
    four = ["retain_accuracy", "unlearn_accuracy", "test_accuracy", "mia"]
    gaps = (rows[four] - rows[four].loc["Re-train"].mean()).abs().mean(axis=1)
    np.testing.assert_allclose(rows.average_gap, gaps, atol=1e-6)


def test_a_reference_is_judged_by_the_others_alone(run, summary):
    """Fails if a reference is among its own references: its attack would be blunted."""
    nets = study.load_models(run, run.names("Re-train")).values()
    forget, held_out = (
        np.stack([metrics.confidence(net, *run.pair(part)).numpy() for net in nets])
        for part in ("forget", "held_out")
    )
    expected = metrics.lira(forget[0], forget[1:], held_out[0], held_out[1:])
    row = summary[summary.method == "Re-train"].iloc[0]
    assert row.lira_auc == pytest.approx(expected.auc)
    assert row.lira_mean_z == pytest.approx(expected.mean_z)
    assert row.klom == pytest.approx(klom(forget[:1], forget[1:]).mean())


def test_a_metric_of_ones_own_has_its_column_in_the_summary_and_in_tables(run, summary, tmp_path):
    """One that looks at a model, one that compares it with references, and one of the whole table;
    nothing else of the table changes. Fails if a reference is compared with itself."""
    shutil.copytree(run.folder, tmp_path / "digits")
    with patch.dict(METRICS):

        @metric(of_forget=("shown", 1))
        def size(forget, whole_class):
            return len(forget[1]) + whole_class

        @metric(reading=lambda model: 1, others_seen=("", 2))
        def compared(own, others):
            return own + sum(others)

        @metric(twice=("twice", 0))
        def doubled(rows):
            return 2 * rows.of_forget

        table = summarise(open_existing(tmp_path / "digits"))
        headings = set(results_table(table))
    assert (table.of_forget == len(run.split.forget)).all()
    assert table.others_seen.tolist() == [3 if m == "Re-train" else 4 for m in table.method]
    assert (table.twice == 2 * table.of_forget).all()
    assert list(table.columns[-3:]) == ["twice", "seconds", "share_of_retrain"]
    rest = table.drop(columns=["of_forget", "others_seen", "twice"])
    pd.testing.assert_frame_equal(rest, summary, check_dtype=False, rtol=1e-6)
    assert {"shown", "twice"} <= headings
    assert not {"", "others_seen", "of_forget"} & headings


def test_a_forgotten_class_is_judged_by_the_other_classes_and_by_differences(tmp_path):
    """Fails if test accuracy still asks for the forgotten class, or the ratio is made up where
    no reference ever says it."""
    settings = {**SMALL, "forget_share": 1.0}
    run = open_run("digits", tmp_path / "digits", seeds=[0], settings=settings)
    study.train(run)
    study.unlearn(run)
    summary = summarise(run)
    assert (summary[summary.method == "Re-train"].unlearn_accuracy == 100).all()
    (model,) = study.load_models(run, run.names("Original")).values()
    original = summary[summary.method == "Original"].iloc[0]
    assert original.test_accuracy == metrics.accuracy(model, *run.pair("test"))
    pairs = [run.pair(p) for p in ("retain", "forget", "test", "held_out")]
    assert original.mia == metrics.mia(model, *pairs, True)
    rows = study.measure(run).query("method == 'Original'")
    assert rows.ratio_of_means.isna().all()
    np.testing.assert_allclose(rows.difference, rows.forget_accuracy)
    assert (rows[["null_difference_low", "null_difference_high"]] == 0).all(axis=None)


def test_the_table_has_mean_spread_and_distance():
    numbers = [
        ["Original", 0, 100, 0, 98, 97, 10, 0.9, 3.0, 0, 0, 0.5, 5, 9, 2.0, 1.0],
        ["Original", 1, 100, 0, 96, 97, 30, 0.9, 3.0, 0, 0, 0.5, 5, 9, 2.0, 1.0],
        ["Re-train", 5, 100, 4, 97, 95, 40, 0.5, 0.0, 8, 70, 0.5, 0, 0, 2.0, 1.0],
        ["Re-train", 6, 100, 8, 97, 93, 60, 0.5, 0.0, 31, 301, 0.5, 0, 0, 2.0, 1.0],
    ]
    rows = pd.DataFrame(numbers, columns=columns())
    original, retrained = results_table(rows).to_dict("records")
    assert original["unlearn %"] == "0.00 ± 0.00 (6.00)"
    assert original["test %"] == "97.00 ± 1.41 (0.00)"
    assert original["MIA %"] == "20.00 ± 14.14 (30.00)"
    assert original["Avg. Gap"] == "9.00"  # (0 + 6 + 0 + 30) / 4
    assert retrained["unlearn %"] == "6.00 ± 2.83"
    assert retrained["re-learn steps"] == ">186 ± 163"
    assert original["of re-training"] == "100 %"


def test_a_class_is_whole_when_nothing_of_it_is_retained(tmp_path):
    """Fails if the share that was asked for decides: 0.995 of 90 nines are all of them."""
    for share, whole in ((0.995, True), (0.5, False)):
        run = open_run("digits", tmp_path / f"{share}", seeds=[0], settings={"forget_share": share})
        assert run.whole_class == whole
        assert bool((run.pair("test")[1] == run.split.forget_class).any()) != whole


def test_a_diverged_model_is_named(tmp_path):
    """Fails if NaN weights are kept: they would be right about every sample of class 0."""
    run = open_run("digits", tmp_path / "digits", seeds=[0], settings={**SMALL, "GD.lr": 1e9})
    study.train(run)
    with pytest.raises(InputError, match=r"GD seed 0 diverged.*--set GD.lr"):
        study.unlearn(run)
    assert not run.checkpoint(run.names("GD")[0]).exists()
