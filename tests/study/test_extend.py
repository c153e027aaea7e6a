"""Plugins: the README's own examples, in every table and in every process without being shipped."""

import hashlib
import json
import shutil
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from rurklib import METHODS, study
from rurklib.checks import InputError
from rurklib.study import attack, extend, store
from rurklib.study.models import key_of
from rurklib.study.run import open_existing, open_run

DATA = {"train_images": 300, "training.epochs": 2, "references": 3, "draws": 3, "taus": [0.0, 0.1]}
SMALL = {**DATA, "methods": ["GD"], "GD.epochs": 1}
MORE = """
from rurklib.attacks import ATTACKS

ATTACKS["loudest"] = lambda model, x, y, setting: model(x).amax(1)
"""
METHOD = """from rurklib.unlearn.contract import method

@method({!r})
def mine(model, retain, forget, *, seed=0):
    return model
"""


@pytest.fixture(autouse=True)
def each_has_its_own(no_plugins):
    yield
    no_plugins()


@pytest.fixture(scope="module")
def files(examples, tmp_path_factory) -> list[Path]:
    """A method; and a perturbation, a metric and an attack in one file."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "unsure.py").write_text(examples["unlearn/unsure.py"])
    more = examples["brighter.py"] + examples["metrics/confidence_gap.py"] + MORE
    (folder / "more.py").write_text(more)
    return [folder / "unsure.py", folder / "more.py"]


@pytest.fixture(scope="module")
def folder(files, no_plugins, tmp_path_factory) -> Path:
    """A run with them, whose models two other processes made."""
    out = tmp_path_factory.mktemp("runs") / "r"
    run = open_run("digits", out, seeds=[0], settings=SMALL, jobs=2, plugins=files)
    study.train(run)
    study.unlearn(run)
    study.summarise(run)
    study.measure(run)
    no_plugins()
    return out


def test_all_that_a_file_holds_is_in_every_table(folder, files):
    summary = pd.read_csv(folder / "summary.csv")
    assert list(summary.method.unique()) == ["Original", "Re-train", "GD", "Unsure"]
    assert summary.confidence_gap.notna().all()
    frame = pd.read_csv(folder / "residual_knowledge.csv")
    assert set(frame.perturbation[frame.method == "Unsure"]) == {"gaussian", "brighter"}
    known = store.read(folder / "run.json")[0]["plugins"]
    sha256 = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    assert known == [{"path": str(p), "sha256": s} for p, s in zip(files, sha256, strict=True)]


def test_whoever_opens_a_run_again_has_its_plugins(folder):
    assert "Unsure" not in METHODS
    run = open_existing(folder)
    assert list(run.scenario.methods) == ["GD", "Unsure"]
    assert run.scenario.perturbations == ("gaussian", "brighter")
    assert "Unsure" in METHODS
    with pytest.raises(InputError, match="Unsure"):
        open_run("digits", folder, seeds=[0], settings=SMALL, plugins=[])


def test_an_edited_file_makes_again_what_is_made_with_it_and_nothing_else(
    folder, files, no_plugins, tmp_path
):
    copy, mine = tmp_path / "r", [shutil.copy(path, tmp_path) for path in files]
    shutil.copytree(folder, copy)
    choices = {"seeds": [0], "settings": SMALL, "plugins": mine}

    def keys() -> dict[str, str]:
        no_plugins()
        run = open_run("digits", copy, **choices)
        return {m: key_of(run, run.names(m)[0]) for m in ("Original", "GD", "Unsure")}

    before = keys()
    text = Path(mine[0]).read_text()
    Path(mine[0]).write_text(text.replace("- model(f[0])", "- 2 * model(f[0])"))
    no_plugins()
    with pytest.raises(InputError, match=r"unsure\.py, a plugin of this run, was edit"):
        open_existing(copy)
    after = keys()
    assert {name for name in before if after[name] != before[name]} == {"Unsure"}
    Path(mine[1]).unlink()
    no_plugins()
    with pytest.raises(InputError, match=r"more\.py: expected a Python file"):
        open_existing(copy)


def test_an_ablation_and_an_attack_have_their_rows(folder, files, tmp_path):
    """Fails if the run that cells share has the plugins of one of them."""
    extend.load(files)
    choices = {"method": "Unsure", "laws": ["brighter"], "settings": DATA}
    rows, _ = study.ablate("digits", tmp_path / "shared", seed=0, **choices)
    assert set(rows.law) == {"brighter"}
    assert {"Original", "Unsure"} <= set(rows.method)
    (record,) = tmp_path.glob("shared/*/run.json")
    assert json.loads(record.read_text())["plugins"] == []
    run = open_existing(folder)
    found, references = attack.attacked(run, ["Unsure"], draws=1, steps=1, shots=2, most=3)
    table = attack.attack_table(run, found, references)
    assert {"loudest", "confidence (LiRA)"} <= set(table.attack[table.method == "Unsure"])


@pytest.mark.slow
def test_every_kernel_of_a_sweep_knows_the_files(files, tmp_path, rurk):
    """Fails if only the command does: this notebook knows the core alone."""
    values = "method: str = 'GD'\nout: str = ''"
    parameters = new_code_cell(values, metadata={"tags": ["parameters"]})
    work = """import rurklib
rate = rurklib.defaults(method)["lr"]
open(f"{out}/rows.csv", "w").write(f"lr\\n{rate}")"""
    book = tmp_path / "book.ipynb"
    nbformat.write(new_notebook(cells=[parameters, new_code_cell(work)]), book)
    words = ["--grid", "method=Unsure", "--out", tmp_path / "s", "--with", files[0]]
    done = rurk("sweep", book, *words)
    assert done.exit_code == 0, done.output
    (row,) = pd.read_csv(tmp_path / "s" / "results.csv").to_dict("records")
    assert (row["method"], row["lr"]) == ("Unsure", 0.01)


METRIC = """
from rurklib.metrics.registry import metric

@metric(mia=("MIA", 2))
def another_mia(model, forget):
    return 0.0
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "registers nothing"),
        ("1 / 0\n", "division by zero"),
        ("raise SystemExit(0)\n", "mend line 1"),
        (METHOD.format("GD"), "there is a method 'GD' already"),
        (METHOD.format("Same-prior"), "there is a method 'Same-prior' already"),
        (METHOD.format("a/b"), "expected a name that files can have"),
        (METHOD.format("Mine").replace(", *, seed=0", ""), "has no parameter seed"),
        (METRIC, "there is a column 'mia' already"),
    ],
)
def test_what_a_file_must_not_do(text, words, tmp_path):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(InputError, match=words):
        extend.load([tmp_path / "mine.py"])


def test_a_method_must_return_a_model(tmp_path):
    (tmp_path / "mine.py").write_text(METHOD.format("Mine").replace("return model", "pass"))
    extend.load([tmp_path / "mine.py"])
    run = open_run("digits", tmp_path / "r", seeds=[0], settings={**SMALL, "train_images": 100})
    with pytest.raises(InputError, match="Mine"):
        study.unlearn(run)
