"""The committed notebooks: what a reader sees on the web without running anything."""

import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from rurklib.checks import InputError
from rurklib.study import books
from rurklib.study.run import open_run

BOOKS = sorted(books.folder().glob("*.ipynb"))


def test_a_notebook_is_one_file_that_is_given_what_it_asks_for(tmp_path, monkeypatch):
    """Written into a folder, it is part of a study: executed in its place, skipped when nothing has
    changed, and again when a file that it is answerable for is gone."""
    run = open_run("iris", tmp_path / "run", seeds=[0])
    monkeypatch.setattr(books, "folder", lambda: tmp_path)
    work = "from pathlib import Path\nPath(out, 'mine.csv').write_text(f'seeds\\n{len(seeds)}\\n')"
    work += "\nassert Path('08_mine.ipynb').exists()  # a kernel is in its notebook's folder"
    for name, given in (
        ("08_mine", "scenario: str = ''\nout: str = ''\nseeds: list = []"),
        ("07_alone", "out: str = ''\nseeds: list = [1, 2]\nlive: bool = True"),
    ):
        cells = [new_code_cell(given, metadata={"tags": ["parameters"]}), new_code_cell(work)]
        belongs = {"rurk": {"command": "study"}}
        nbformat.write(new_notebook(cells=cells, metadata=belongs), tmp_path / f"{name}.ipynb")
    asked = {"scenario": "iris", "out": str(run.folder), "seeds": [0]}
    assert books.run_notebooks(run, asked) == ["07_alone", "08_mine"]
    assert (run.folder / "mine.csv").read_text() == "seeds\n1\n"
    executed = nbformat.read(run.folder / "notebooks" / "07_alone.ipynb", as_version=4)
    assert executed.metadata["papermill"]["parameters"] == {"out": str(run.folder), "live": False}
    assert "input_path" not in executed.metadata["papermill"]
    assert books.run_notebooks(run, asked) == []
    (run.folder / "mine.csv").unlink()
    assert books.run_notebooks(run, asked) == ["08_mine"]
    with pytest.raises(InputError, match="'sedes': did you mean 'seeds'"):
        books.run_notebooks(run, asked | {"sedes": [0]})


@pytest.mark.parametrize("path", BOOKS, ids=lambda p: p.stem)
def test_outputs_are_committed_small_and_without_paths(path):
    text = path.read_text(encoding="utf-8")
    assert len(text) < 1_000_000
    assert not re.search(r"(?<![\w.])/(home|root|work|tmp|Users)/", text), "an absolute path"
    code = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    kinds = {o.output_type for c in code for o in c.outputs}
    assert kinds
    assert "error" not in kinds
    assert not re.search("papermill.:|injected-parameters|jupyter.widget", text)


@pytest.mark.parametrize("path", BOOKS, ids=lambda p: p.stem)
def test_every_picture_has_alt_text(path):
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                assert len(output.metadata["image/png"]["alt"]) > 30
