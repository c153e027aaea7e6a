"""Which method to use: worked out from tables made by hand, and from the published ones."""

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from rurklib import InputError
from rurklib.study.cli.main import main
from rurklib.study.report.which import compared, published, which_table

ROOT = Path(__file__).parents[3]
FINDING = {"n": "none detected", "r": "residual knowledge", "o": "over-forgotten"}
TREATED = {"a": "treated alike", "s": "surer of the forgotten", "l": "less sure of the forgotten"}

# Findings and treatment in three seeds, test accuracy in percent, share of re-training's time.
METHODS = {
    "Original": ("rrr", "sss", 95, 1.2),
    "Good": ("nno", "aas", 90, 0.25),
    "Seen": ("nrr", "aaa", 92, 0.1),
    "Unlike": ("nnn", "als", 92, 0.1),
    "Worse": ("nnn", "aaa", 89, 0.1),
    "Dear": ("nnn", "aaa", 92, 0.28),
}
CONTROL = {"Retrain-quarter": ("nnn", "aaa", 91, 0.27)}


@pytest.fixture
def page(tmp_path):
    """``page("name", methods)``: a page's folder; re-trained models have 90 and 94 %."""

    def make(name: str, methods: dict) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        rows = {m: [(accuracy, share)] * 3 for m, (_, _, accuracy, share) in methods.items()}
        rows["Re-train"] = [(90, 1.0), (94, 1.0)]
        summary = [(m, *row) for m, its in rows.items() for row in its]
        columns = ["method", "test_accuracy", "share_of_retrain"]
        pd.DataFrame(summary, columns=columns).to_csv(folder / "summary.csv")
        judged = [
            (m, FINDING[f], TREATED[t])
            for m, (found, treated, *_) in methods.items()
            for f, t in zip(found, treated, strict=True)
        ]
        columns = ["method", "finding", "treated"]
        pd.DataFrame(judged, columns=columns).to_csv(folder / "verdicts.csv")
        return folder

    return make


def test_who_passes(page):
    """At each limit one is in and one is out. Fails if one of the four conditions isn't asked, if
    seeds are asked all rather than most, or if Original has a row."""
    rows = compared([page("digits", METHODS)]).set_index("method")
    assert rows.passed.to_dict() == {m: m == "Good" for m in METHODS if m != "Original"}
    assert rows.loc["Good", ["seeds", "like", "alike", "retrained", "lowest"]].tolist() == [
        3, 2, 2, 92, 90,
    ]  # fmt: skip
    beside = compared([page("fashion", METHODS | CONTROL)]).set_index("method")
    assert beside.passed[beside.passed].index.tolist() == ["Good", "Retrain-quarter"]


def test_a_row_a_method_the_best_first(page):
    """Fails if a method that one data set lacks is counted there, or seeds of two aren't added."""
    rows = compared([page("digits", METHODS), page("fashion", {"Good": METHODS["Good"]} | CONTROL)])
    table = which_table(rows).set_index("method")
    assert list(table.index[:3]) == ["Good", "Retrain-quarter", "Worse"]
    assert table.loc["Good"].tolist() == [
        "2 of 2", "4 of 6", "4 of 6", "-2.0 (worst -2.0)", "25 % (most 25 %)",
    ]  # fmt: skip
    assert table.loc["Dear"].iloc[0] == "0 of 1"


def test_of_two_folders_of_one_scenario_the_last_is_read(page):
    """A run has its scenario's name. Fails if both count, or a page and a run are two data sets."""
    old = page("digits", METHODS)
    new = page("mine", {"Good": ("ooo", "sss", 50, 9.0)})
    (new / "run.json").write_text(json.dumps({"scenario": "digits"}))
    rows = compared([old, new]).set_index("method")
    assert rows.data.unique().tolist() == ["digits"]
    assert not rows.passed["Good"]
    assert len(rows) == len(METHODS) - 1


def test_what_lacks_a_table_or_a_test_is_refused(page, tmp_path):
    folder = page("digits", METHODS)
    pd.read_csv(folder / "verdicts.csv").drop(columns="treated").to_csv(folder / "verdicts.csv")
    with pytest.raises(InputError, match="has no column treated: expected verdicts of both tests"):
        compared([folder])
    assert published(tmp_path) == []
    with pytest.raises(InputError, match=r"nowhere.summary.csv is missing: expected a finished"):
        compared([tmp_path / "nowhere"])
    empty = CliRunner().invoke(main, ["which", str(tmp_path)])
    assert empty.exit_code == 2
    assert len(empty.output.strip().splitlines()) == 1


def test_the_published_table_is_that_of_the_published_pages(tmp_path, monkeypatch):
    """Fails if a page was published and which.csv was not made again."""
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(main, ["which", "--out", str(tmp_path / "which.csv")])
    assert done.exit_code == 0, done.output
    rows = pd.read_csv(tmp_path / "which.csv")
    pd.testing.assert_frame_equal(rows, pd.read_csv("figures/which/which.csv"))
