"""The whole study through the command, with smaller parameters: files, columns, resume, kill.

One run is shared by the tests of this file (pytest-xdist keeps a file on one worker): it has
seven methods, one from a file that was brought along, was killed and went on. Beside it a calm one
of two, without notebooks.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest

from rurklib import study
from rurklib.checks import InputError
from rurklib.study import books, store
from rurklib.study.run import open_run

SMALL = {
    "training.epochs": 4,
    "references": 3,
    "draws": 5,
    "taus": [0.0, 0.2],
    "GD.epochs": 1,
    "RURK.epochs": 2,
}
# One of each kind; that all keep the contract is tests/unlearn/test_contract's concern.
SOME = ["CR", "GD", "RURK", "GD+RURK"]
SMALL["methods"] = SOME
METHODS = ["Original", "Re-train", *SOME, "Unsure"]
MODELS = len(SOME) + 1 + 1 + 3
FEW = {**SMALL, "methods": ["GD", "RURK"]}
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_plugins")]


def command(out: Path, settings: dict, jobs: int = 1, more: Sequence[str] = ()) -> list[str]:
    said = (
        f"{k}={','.join(map(str, v)) if isinstance(v, list) else v}" for k, v in settings.items()
    )
    words = [x for s in said for x in ("--set", s)]
    return [sys.executable, "-m", "rurklib", "study", "--out", str(out), "--seeds", "0",
            "--jobs", str(jobs), *words, *more]  # fmt: skip


def rurk(out: Path, settings: dict, **kw) -> subprocess.CompletedProcess:
    return subprocess.run(command(out, settings, **kw), capture_output=True, text=True, timeout=400)


@pytest.fixture(scope="module")
def killed(tmp_path_factory, examples) -> tuple[Path, dict[str, int]]:
    """A run that was stopped (Ctrl-C) when its first models were there, killed when there were
    more, and then finished by a command that doesn't name the file that was brought along; and when
    those models were written."""
    out = tmp_path_factory.mktemp("runs") / "digits"
    own = out.with_name("unsure.py")
    own.write_text(examples["unlearn/unsure.py"])
    for end in (signal.SIGINT, signal.SIGKILL):
        before = len(list((out / "models").glob("*.safetensors")))
        process = subprocess.Popen(
            [*command(out, SMALL), "--with", own], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            start_new_session=True, text=True,
        )  # fmt: skip
        deadline = time.monotonic() + 180
        while len(list((out / "models").glob("*.safetensors"))) == before:
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
        os.killpg(process.pid, end)
        said, _ = process.communicate()
        if end == signal.SIGINT:
            assert process.returncode == 130, said
            *_, last = said.splitlines()
            assert last == "rurk: stopped; the same command goes on (an audit begins again)"
            assert not re.search("Traceback|died|Error", said), said
    kept = {k: v for k, v in stamps(out).items() if k.endswith(".safetensors")}
    assert not (out / "report.html").exists()
    done = rurk(out, SMALL)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "report.html" in done.stdout.splitlines()[-1]
    assert "verdict in most seeds" in done.stdout
    return out, kept


@pytest.fixture(scope="module")
def finished(killed) -> Path:
    return killed[0]


@pytest.fixture(scope="module")
def calm(tmp_path_factory) -> Path:
    """The first two methods of the same run, by the package's functions and without a notebook."""
    run = open_run("digits", tmp_path_factory.mktemp("runs") / "calm", seeds=[0], settings=FEW)
    study.tables(run)
    return run.folder


def numbers(path: Path) -> pd.DataFrame:
    """A table without the columns that say how long something took."""
    return pd.read_csv(path).drop(columns=["seconds", "share_of_retrain"], errors="ignore")


def stamps(folder: Path) -> dict[str, int]:
    return {
        str(p.relative_to(folder)): p.stat().st_mtime_ns
        for p in sorted(folder.rglob("*"))
        if p.is_file() and ".partial." not in p.name  # what a kill leaves was never finished
    }


def test_every_file_is_there_with_its_columns(finished):
    summary = pd.read_csv(finished / "summary.csv")
    assert list(summary.columns) == [
        "method", "seed", "retain_accuracy", "unlearn_accuracy", "test_accuracy",
        "held_out_accuracy", "mia", "lira_auc", "lira_mean_z", "relearn_epochs", "relearn_steps",
        "klom", "average_gap", "avg_gap_of_means", "seconds", "share_of_retrain",
    ]  # fmt: skip
    assert list(summary.method.unique()) == METHODS
    assert len(summary) == MODELS
    percent = summary.loc[:, "retain_accuracy":"mia"].to_numpy()
    assert percent.min() >= 0
    assert percent.max() <= 100
    frame = pd.read_csv(finished / "residual_knowledge.csv")
    assert list(frame.columns) == [
        "method", "seed", "perturbation", "tau", "forget_accuracy", "reference_accuracy",
        "ratio_of_means", "mean_of_ratios", "undefined_share", "null_low", "null_high",
        "difference", "null_difference_low", "null_difference_high",
        "ratio_low", "ratio_high",
        "predict_low", "predict_high", "p_value",
        "margin", "margin_difference", "margin_predict_low", "margin_predict_high", "margin_sd",
    ]  # fmt: skip
    assert len(frame) == MODELS * 2
    at_zero = frame[frame.tau == 0].set_index(["method", "seed"]).forget_accuracy * 100
    direct = 100 - summary.set_index(["method", "seed"]).unlearn_accuracy
    np.testing.assert_allclose(at_zero.sort_index(), direct.sort_index(), atol=1e-6)
    for name in ("split.json", "env.json", "run.json"):
        assert store.read_json(finished / name)
    assert len(list((finished / "models").glob("*.safetensors"))) == MODELS + 2  # controls


def test_notebooks_and_report_hold_their_figures(finished):
    pictures = sorted(p.name for p in (finished / "figures").glob("*.png"))
    assert pictures == ["00_five_minutes.png", "01_accuracy.png", "01_samples.png",
                        "01_who.png", "02_accuracy.png", "02_batchnorm.png", "02_terms.png",
                        "02_who.png", "03_copies.png", "03_curves.png", "03_margins.png",
                        "04_controls.png", "04_disagreement.png", "04_estimators.png",
                        "04_laws.png", "04_norms.png", "04_per_sample.png", "04_ranked.png",
                        "04_references.png", "05_copy.png",
                        "05_probabilities.png", "05_running_ratio.png"]  # fmt: skip
    for picture in pictures:
        data = pd.read_csv(finished / "figures" / picture.replace(".png", ".csv"))
        assert len(data) > 0
    shown = {"00_five_minutes": 1, "01_train": 3, "02_unlearn": 4,
             "03_residual_knowledge": 3, "04_what_can_fool_it": 8,
             "05_inspect_perturbations": 3, "99_report": 0}  # fmt: skip
    for name, count in shown.items():
        book = nbformat.read(finished / "notebooks" / f"{name}.ipynb", as_version=4)
        outputs = [o for c in book.cells for o in c.get("outputs", [])]
        assert not [o for o in outputs if o.output_type == "error"]
        assert sum("image/png" in o.get("data", {}) for o in outputs) == count
        tables = "".join(o.get("data", {}).get("text/html", "") for o in outputs)
        assert ("Unsure</t" in tables) == (name[:2] in ("02", "03", "04", "99"))
    page = (finished / "report.html").read_text()
    assert page.count("data:image/png;base64,") == len(pictures)
    assert not re.search(r"""(src|href)=["']?(https?:|/|\.)""", page), "the page needs other files"
    assert all(f"<td>{m}</td>" in page for m in METHODS)
    first = [page.index(w) for w in ("methods pass", "<table", "Residual knowledge is")]
    assert first == sorted(first), "the answer comes first, then what it means"


def test_running_again_skips_everything(finished):
    before = stamps(finished)
    again = rurk(finished, SMALL)
    assert again.returncode == 0
    assert again.stdout.count("skipped") == len(books.books_of("study", "digits"))
    after = stamps(finished)
    changed = {k for k in after if after[k] != before.get(k)}
    assert changed <= {"env.json", "outputs.json"}


def test_killed_in_the_middle_it_finishes_with_the_same_numbers(killed, calm):
    out, kept = killed
    for name in ("summary.csv", "residual_knowledge.csv", "verdicts.csv", "neighbourhoods.csv"):
        frame, all_methods = numbers(calm / name), numbers(out / name)
        same = all_methods[all_methods.method.isin(frame.method)].reset_index(drop=True)
        pd.testing.assert_frame_equal(frame, same, check_exact=True)
    assert kept, "nothing was finished before the kill"
    assert kept.items() <= stamps(out).items(), "finished work was redone"
    assert not list(out.rglob(".*.partial.*"))


def test_damaged_files_are_made_again_with_a_line_each(finished):
    """A cut model, one copied over another's name, a cut record and a figure with a changed bit.
    Fails if a number changes, or anything else is made again."""
    before, models = stamps(finished), finished / "models"
    tables = {path: path.read_bytes() for path in finished.glob("*.csv")}
    for path in (models / "GD-seed0.safetensors", finished / "run.json"):
        path.write_bytes(path.read_bytes()[:-50])
    shutil.copy(models / "RURK-seed0.safetensors", models / "CR-seed0.safetensors")
    figure = finished / "figures" / "00_five_minutes.png"
    figure.write_bytes(bytes([figure.read_bytes()[0] ^ 1]) + figure.read_bytes()[1:])
    plugin = finished.with_name("unsure.py")
    done = rurk(finished, SMALL, more=["--with", str(plugin)])
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("GD-seed0", "CR-seed0", "run.json", "00_five_minutes.png"):
        assert [line for line in done.stdout.splitlines() if name in line], name
    assert done.stdout.count("skipped") == len(books.books_of("study", "digits")) - 1
    assert {path: path.read_bytes() for path in tables} == tables
    changed = {k for k, t in stamps(finished).items() if before.get(k) != t}
    assert {k for k in changed if k.startswith(("models", "counts"))} == {
        "models/GD-seed0.safetensors", "models/CR-seed0.safetensors"
    }  # fmt: skip


def test_other_seeds_give_other_numbers_and_share_the_references(calm):
    before, old = stamps(calm), pd.read_csv(calm / "residual_knowledge.csv")
    study.tables(open_run("digits", calm, seeds=[5], settings=FEW))
    new = pd.read_csv(calm / "residual_knowledge.csv")
    ours = [f[f.method == "Original"].forget_accuracy.to_numpy() for f in (old, new)]
    assert not np.array_equal(*ours)
    after = stamps(calm)
    assert not [k for k in before if "Re-train" in k and before[k] != after[k]]


def test_unknown_notebook_parameters_are_refused_before_anything_runs(tmp_path):
    source = books.folder() / "01_train.ipynb"
    with pytest.raises(InputError, match=r"'sedes': did you mean 'seeds'"):
        books.check_names(books.read(source), {"sedes": [1]})


def test_a_failing_notebook_is_named_with_its_cell(tmp_path, monkeypatch):
    path = tmp_path / "01_train.ipynb"
    book = nbformat.read(books.folder() / path.name, as_version=4)
    book.cells.insert(2, nbformat.v4.new_code_cell("raise RuntimeError('on purpose')"))
    nbformat.write(book, path)
    monkeypatch.setattr(books, "folder", lambda: tmp_path)
    run = open_run("digits", tmp_path / "r", seeds=[0], settings=SMALL)
    with pytest.raises(books.NotebookFailed, match=r"01_train.*RuntimeError: on purpose"):
        books.run_notebooks(run, {})
    assert not (run.folder / "notebooks" / "01_train.ipynb").exists()
    assert (run.folder / "notebooks" / "01_train.failed.ipynb").exists()
