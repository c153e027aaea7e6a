"""The committed notebooks: what a reader sees on the web without running anything."""

import ast
import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from rurklib.checks import InputError
from rurklib.study import books
from rurklib.study.run import open_run

SWEPT = ("06_ablations", "95_read_ablations")  # a cell of a sweep, and what reads them all
ATTACKS = "07_adaptive_attacks"  # of a finished run
BEYOND = "08_beyond_images"  # of several scenarios, in a folder of its own
BOOKS = sorted(books.folder().glob("*.ipynb"))
TAUGHT = ("00", "01", "02", "03", "04")  # what it does, in lines that a student could write
LONGEST = 16  # lines of a function
WIDEST = 100  # characters of a line of code that JupyterLab shows at 1280 pixels without scrolling
PARAMETER = re.compile(r"^(\w+): (\w+) = (.+?)  # (.+)$")


def test_every_notebook_says_where_it_belongs():
    mine = [b.path.stem[:2] for b in books.books_of("study", "digits")]
    assert mine == ["00", "01", "02", "03", "04", "05", "99"]
    assert [b.path.stem[:2] for b in books.books_of("study", "iris")] == mine[1:]
    others = {p.stem for p in BOOKS if p.stem[:2] not in mine}
    assert others == {ATTACKS, BEYOND, *SWEPT}


def test_a_notebook_is_one_file_that_is_given_what_it_asks_for(tmp_path, monkeypatch):
    """Written into a folder, it is part of a study: executed in its place, skipped when nothing has
    changed, and again when a file that it is answerable for is gone."""
    run = open_run("iris", tmp_path / "run", seeds=[0])
    monkeypatch.setattr(books, "folder", lambda: tmp_path)
    work = "from pathlib import Path\nPath(out, 'mine.csv').write_text(f'seeds\\n{len(seeds)}\\n')"
    work += "\nassert Path('08_mine.ipynb').exists()  # a kernel is in its notebook's folder"
    for name, given, makes in (
        ("08_mine", "scenario: str = ''\nout: str = ''\nseeds: list = []", ["mine.csv"]),
        ("07_alone", "out: str = ''\nseeds: list = [1, 2]\nlive: bool = True", ["*.csv", "!m*"]),
    ):
        cells = [new_code_cell(given, metadata={"tags": ["parameters"]}), new_code_cell(work)]
        belongs = {"rurk": {"command": "study", "makes": makes}}
        nbformat.write(new_notebook(cells=cells, metadata=belongs), tmp_path / f"{name}.ipynb")
    asked = {"scenario": "iris", "out": str(run.folder), "seeds": [0]}
    assert books.run_notebooks(run, asked, say=lambda _: None) == ["07_alone", "08_mine"]
    assert (run.folder / "mine.csv").read_text() == "seeds\n1\n"
    executed = nbformat.read(run.folder / "notebooks" / "07_alone.ipynb", as_version=4)
    assert executed.metadata["papermill"]["parameters"] == {"out": str(run.folder), "live": False}
    assert "input_path" not in executed.metadata["papermill"]
    assert books.run_notebooks(run, asked, say=lambda _: None) == []
    (run.folder / "mine.csv").unlink()
    assert books.run_notebooks(run, asked, say=lambda _: None) == ["08_mine"]
    with pytest.raises(InputError, match="'sedes': did you mean 'seeds'"):
        books.run_notebooks(run, asked | {"sedes": [0]}, say=lambda _: None)


@pytest.mark.parametrize("path", BOOKS, ids=lambda p: p.stem)
def test_outputs_are_committed_small_and_without_paths(path):
    text = path.read_text(encoding="utf-8")
    assert len(text) < 1_000_000
    assert not re.search(r"(?<![\w.])/(home|root|work|tmp|Users)/", text), "an absolute path"
    book = nbformat.read(path, as_version=4)
    code = [c for c in book.cells if c.cell_type == "code"]
    outputs = [o for c in code for o in c.outputs]
    assert outputs, "committed without outputs"
    assert not [o for o in outputs if o.output_type == "error"]
    assert all(c.execution_count for c in code if c.outputs)
    assert "papermill" not in book.metadata
    assert not [c for c in book.cells if "injected-parameters" in c.metadata.get("tags", [])]
    assert "application/vnd.jupyter.widget" not in text


@pytest.mark.parametrize("path", BOOKS, ids=lambda p: p.stem)
def test_parameters_cell_is_one_literal_a_line_with_help(path):
    book = nbformat.read(path, as_version=4)
    (cell,) = [c for c in book.cells if "parameters" in c.metadata.get("tags", [])]
    names = {}
    for line in cell.source.splitlines():
        name, kind, value, _ = PARAMETER.match(line).groups()
        names[name] = (kind, ast.literal_eval(value))
        optional = path.stem in SWEPT and names[name][1] is None  # None: the scenario's value
        assert optional or type(names[name][1]).__name__ == kind
    needed = {
        "00": {"out", "seed"},  # needs no run
        "06": {"scenario", "out", "shared", "seed", "settings", "jobs"},
        "07": {"out", "methods", "jobs"},  # all else is read from the run's folder
        "08": {"scenarios", "paths", "out", "shared", "seeds", "settings", "jobs"},
        "95": {"results", "out"},
    }.get(path.stem[:2], {"scenario", "out", "seeds", "settings", "jobs"})
    assert needed <= names.keys()
    if path.stem not in (*SWEPT, BEYOND):
        assert names["out"] == ("str", "../runs/digits")


@pytest.mark.parametrize("path", BOOKS, ids=lambda p: p.stem)
def test_a_notebook_tells_and_calls_and_defines_little(path):
    """The package holds the code; a notebook that defines functions re-implements it. Those that
    teach do, in a few lines, and show that it is the same; the others only where an exercise asks
    for a function, with a check of it (tests/test_exercises.py)."""
    book = nbformat.read(path, as_version=4)
    assert book.cells[0].cell_type == "markdown"
    assert book.cells[0].source.startswith("# ")
    for before, cell in zip(book.cells, book.cells[1:], strict=False):
        if cell.cell_type == "code":
            kinds = (ast.FunctionDef, ast.ClassDef)
            defined = [n for n in ast.walk(ast.parse(cell.source)) if isinstance(n, kinds)]
            exercise = before.cell_type == "markdown" and "## Exercise" in before.source
            assert not defined or path.stem[:2] in TAUGHT or exercise
            assert all(n.end_lineno - n.lineno < LONGEST for n in defined)
    if path.stem != "99_report":
        story = "\n".join(c.source for c in book.cells if c.cell_type == "markdown")
        assert "What this doesn't show" in story
        assert "## Exercise" in story


@pytest.mark.parametrize("path", BOOKS, ids=lambda p: p.stem)
def test_no_line_of_code_scrolls_sideways(path):
    """Parameters apart, whose help stands behind them."""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code" and "parameters" not in cell.metadata.get("tags", []):
            assert [line for line in cell.source.splitlines() if len(line) > WIDEST] == []


@pytest.mark.parametrize("path", BOOKS, ids=lambda p: p.stem)
def test_every_picture_has_alt_text(path):
    book = nbformat.read(path, as_version=4)
    for cell in book.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                assert len(output.metadata["image/png"]["alt"]) > 30


def test_the_first_notebook_stays_short():
    """Fails if its code, exercises apart, reaches sixty lines."""
    cells = nbformat.read(BOOKS[0], as_version=4).cells
    lines = [
        line
        for cell, after in zip(cells, [*cells[1:], None], strict=True)
        if cell.cell_type == "code"
        and not (after and after.source.startswith("<details><summary>A solution"))
        for line in cell.source.splitlines()
        if line.strip() and not line.strip().startswith("#")
    ]
    assert len(lines) < 60
