"""Files that are brought along: the README's own examples, in every table without being shipped.

One small run is shared by the tests; its files are edited only in copies of it.
"""

import hashlib
import json
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from rurklib import METHODS, study
from rurklib.checks import InputError
from rurklib.residual.counts import Measurement
from rurklib.study import attack, books, brought, models
from rurklib.study import measurement as measure
from rurklib.study.report import findings_table, results_table
from rurklib.study.run import open_existing, open_run
from rurklib.study.sweep import grid

SMALL = {"train_images": 300, "training.epochs": 2, "references": 3, "draws": 3, "taus": [0.0, 0.1],
         "methods": ["GD"], "GD.epochs": 1}  # fmt: skip
FEW = {"draws": 1, "steps": 1, "shots": 2, "most": 3}
MORE = """
from rurklib.attacks import ATTACKS

ATTACKS["loudest"] = lambda model, x, y, setting: model(x).amax(1)
"""


@pytest.fixture(autouse=True)
def each_brings_its_own(nothing_brought):
    yield
    nothing_brought()


@pytest.fixture(scope="module")
def own(shipped, tmp_path_factory) -> list[Path]:
    """A method; and a law, a metric and an attack in one file."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "unsure.py").write_text(shipped["unlearn/unsure.py"])
    laws = shipped["brighter.py"] + shipped["metrics/confidence_gap.py"] + MORE
    (folder / "laws.py").write_text(laws)
    return [folder / "unsure.py", folder / "laws.py"]


@pytest.fixture(scope="module")
def folder(own, nothing_brought, tmp_path_factory) -> Path:
    """A finished run with them, made by two processes besides this one."""
    out = tmp_path_factory.mktemp("runs") / "r"
    run = open_run("digits", out, seeds=[0], settings=SMALL, jobs=2, brought=own)
    study.train(run)
    study.unlearn(run)
    summary = study.summarise(run)
    study.measure(run)
    table = study.verdicts(study.residual(run, "brighter", controls=["held out"]))
    table.to_csv(out / "verdicts.csv")
    (out / "tables.txt").write_text(f"{results_table(summary)}\n{findings_table(table, summary)}")
    nothing_brought()
    return out


def test_all_that_a_file_holds_is_in_every_table(folder, own, rurk):
    """Fails if the scenario has to name it, or a process of joblib doesn't know it."""
    summary = pd.read_csv(folder / "summary.csv")
    assert list(summary.method.unique()) == ["Original", "Re-train", "GD", "Unsure"]
    assert summary.confidence_gap.notna().all()
    frame = pd.read_csv(folder / "residual_knowledge.csv")
    assert set(frame.perturbation[frame.method == "Unsure"]) == {"gaussian", "brighter"}
    assert "Unsure" in set(pd.read_csv(folder / "verdicts.csv").method)
    assert (folder / "tables.txt").read_text().count("Unsure") == 2
    assert "\n  Unsure " in rurk("which", folder).output.replace("\n", "\n  ")
    known = json.loads((folder / "run.json").read_text())["brought"]
    assert [its["path"] for its in known] == [str(path) for path in own]
    assert known[0]["sha256"] == hashlib.sha256(own[0].read_bytes()).hexdigest()
    assert known == json.loads((folder / "env.json").read_text())["brought"]


def test_whoever_opens_a_run_again_has_its_files(folder, nothing_brought):
    """Fails if they must be named again, or stay with what is begun afterwards."""
    nothing_brought()
    assert "Unsure" not in METHODS
    run = open_existing(folder)
    assert list(run.scenario.methods) == ["GD", "Unsure"]
    assert run.scenario.perturbations == ("gaussian", "brighter")
    assert {"Unsure"} <= METHODS.keys()
    nothing_brought()
    again = open_run("digits", folder, seeds=[0], settings=SMALL)
    assert again.described == run.described
    new = open_run("digits", folder.with_name("new"), seeds=[0], dry=True)
    assert "Unsure" not in new.scenario.methods
    assert new.described.keys() == run.described.keys() - {"brought"}
    with pytest.raises(InputError, match="r was run with Unsure; choose another"):
        open_run("digits", folder, seeds=[0], settings=SMALL, brought=[])


def keys(run) -> dict[str, str]:
    """The key of one artefact of every kind."""
    names = [n for m in ("Original", "GD", "Unsure") for n in run.names(m)]
    found = {n.method: models.content_of(run, n) for n in names}
    found["attacks"] = attack._keys(run, names, attack.SETTINGS)[names[1]]
    for law in run.scenario.perturbations:
        question = measure.Question(run, Measurement(run.scenario.taus, law, 1))
        found[law] = question.keys(names)[names[1]]
    return found


def test_an_edited_file_makes_again_what_is_made_with_it_and_nothing_else(
    folder, own, nothing_brought, tmp_path
):
    """Fails if an edit is passed over, or throws other models away; or if a comment does."""
    copy, mine = tmp_path / "r", [tmp_path / path.name for path in own]
    shutil.copytree(folder, copy)
    for path, new in zip(own, mine, strict=True):
        shutil.copy(path, new)
    given = {"seeds": [0], "settings": SMALL, "brought": mine}
    before = keys(open_run("digits", copy, **given))
    stamps = {path.name: path.stat().st_mtime_ns for path in (copy / "models").iterdir()}
    cells = source_of(mine)

    def edit(path, old, new):
        assert path.read_text().count(old) == 1
        path.write_text(path.read_text().replace(old, new))
        with pytest.raises(InputError, match=rf"{path.name}, of the run .*r, was edited: put it"):
            open_existing(copy)
        again = keys(open_run("digits", copy, **given))
        return {name for name in before if again[name] != before[name]}

    assert edit(mine[0], '"""Unsure: ', '"""Unsure, that is: ') == set()
    assert source_of(mine) == cells
    assert edit(mine[0], "- model(f[0])", "- 2 * model(f[0])") == {"Unsure"}
    assert source_of(mine) != cells
    study.unlearn(open_run("digits", copy, **given))
    after = {path.name: path.stat().st_mtime_ns for path in (copy / "models").iterdir()}
    assert {name for name in after if after[name] != stamps[name]} == {"Unsure-seed0.safetensors"}
    before = keys(open_existing(copy))
    assert edit(mine[1], ") * tau", ") * tau / 2") == {"brighter", "attacks"}
    mine[1].unlink()
    with pytest.raises(InputError, match=r"laws\.py, of the run .*r, is gone"):
        open_existing(copy)


def source_of(paths) -> str:
    """What a sweep's cells know the code of a notebook by, where these files are brought along."""
    brought.give(paths)
    return grid.code_of(books.read(books.folder() / "06_ablations.ipynb"))


def test_an_edited_file_executes_notebooks_again(own, tmp_path, monkeypatch):
    """Fails if a notebook is taken for finished, so that nobody asks for the models again."""
    mine = tmp_path / "unsure.py"

    def executed(run, book, values):
        assert book.brought == (str(mine),)
        done = nbformat.reads(book.text, as_version=4)
        done.metadata["rurk"] = {}
        return done

    monkeypatch.setattr(books, "_execute", executed)
    book = [books.folder() / "02_unlearn.ipynb"]
    for rate, names in (("1e-3", ["02_unlearn"]), ("1e-3", []), ("1e-4", ["02_unlearn"])):
        mine.write_text(own[0].read_text().replace("1e-3", rate))
        run = open_run("digits", tmp_path / "r", seeds=[0], settings=SMALL, brought=[mine])
        assert books.run_notebooks(run, {}, book, say=lambda _: None) == names


def test_a_net_of_ones_own_counts_by_its_file(tmp_path):
    """Fails if models of a net that was edited are taken for those of the new one."""
    text = "from rurklib.models import MODELS\nMODELS['mine'] = lambda c, k: MODELS['mlp'](c, k)\n"
    path, found = tmp_path / "net.py", []
    for more in ("", "x = 1\n"):
        path.write_text(text + more)
        run = open_run("iris", tmp_path / "r", settings={"model": "mine"}, brought=[path])
        found.append(models.content_of(run, run.names("Original")[0]))
    assert found[0] != found[1]


def test_an_ablation_and_an_attack_have_their_rows(folder, own, tmp_path):
    """Fails if what cells share remembers the files of one of them."""
    brought.give(own)
    rows, verdicts = study.ablate(
        "digits", tmp_path / "shared", seed=0, method="Unsure", laws=["brighter"],
        settings={k: v for k, v in SMALL.items() if not k.startswith(("methods", "GD"))},
    )  # fmt: skip
    assert set(rows.law) == {"brighter"}
    assert {"Original", "Unsure"} <= set(rows.method)
    assert "Unsure" in verdicts
    (record,) = tmp_path.glob("shared/*/run.json")
    assert "brought" not in json.loads(record.read_text())
    run = open_existing(folder)
    found, references = study.attacked(run, ["Unsure"], **FEW)
    table = study.attack_table(run, found, references)
    assert {"loudest", "confidence (LiRA)"} <= set(table.attack[table.method == "Unsure"])


@pytest.mark.slow
def test_every_kernel_of_a_sweep_knows_the_files(own, tmp_path, rurk):
    """Fails if only the command does: this notebook knows the core alone."""
    parameters = new_code_cell("method = 'GD'\nout = ''", metadata={"tags": ["parameters"]})
    work = """
import rurklib
rate = rurklib.defaults(method)["lr"]
open(f"{out}/rows.csv", "w").write(f"lr\\n{rate}")
"""
    book = tmp_path / "book.ipynb"
    nbformat.write(new_notebook(cells=[parameters, new_code_cell(work)]), book)
    words = ["sweep", book, "--grid", "method=Unsure", "--out", tmp_path / "s"]
    done = rurk(*words, "--with", own[0])
    assert done.exit_code == 0, done.output
    (row,) = pd.read_csv(tmp_path / "s" / "results.csv").to_dict("records")
    assert (row["method"], row["lr"]) == ("Unsure", 0.01)


def test_an_audit_asks_under_a_law_of_ones_own(folder, own, tmp_path, rurk):
    code = "from rurklib.models import build as b\nbuild = lambda: b('small-cnn', 1, 10, seed=0)"
    (tmp_path / "m.py").write_text(code)
    x, y = open_existing(folder).pair("forget")
    np.savez(tmp_path / "d.npz", x=x.numpy(), y=y.numpy())
    np.save(tmp_path / "f.npy", np.arange(10))
    said = rurk(
        "audit", "--model", f"{tmp_path / 'm.py'}:build", "--data", tmp_path / "d.npz",
        "--weights", folder / "models" / "Unsure-seed0.safetensors", "--references",
        *sorted((folder / "models").glob("Re-train*")), "--forget", tmp_path / "f.npy",
        "--taus", "0,0.1", "--draws", "2", "--perturbation", "brighter", "--with", own[1],
        "--out", tmp_path / "audit",
    )  # fmt: skip
    assert said.exit_code == 0, said.output
    measured = json.loads((tmp_path / "audit" / "audit.json").read_text())["measurement"]
    assert measured["perturbation"] == "brighter"
    assert str(own[1]) in measured["sha256"]


METHOD = """from rurklib.unlearn.contract import method

@method({!r})
def mine(model, retain, forget, *, seed):
    return model
"""


def test_an_edit_that_fails_leaves_what_was_loaded(own, tmp_path):
    path = tmp_path / "good.py"
    path.write_text(METHOD.format("Good"))
    brought.load(path)
    path.write_text(METHOD.format("Good") + "1 / 0\n")
    with pytest.raises(InputError, match="mend its line 6"):
        brought.load(path)
    assert "Good" in METHODS
    path.write_text(METHOD.format("Better"))
    brought.load(path)
    assert "Better" in METHODS
    assert "Good" not in METHODS
