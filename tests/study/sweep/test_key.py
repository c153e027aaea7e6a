"""What makes a cell another cell, and what doesn't."""

from __future__ import annotations

from pathlib import Path

import pytest

from rurklib.study import memo
from rurklib.study.sweep.drive import plan
from rurklib.study.sweep.grid import from_words
from rurklib.study.sweep.key import code_that_matters


def keys(book, *words, threads=1):
    return [job.key for job in plan(book, from_words(words), Path("none"), threads).jobs]


def test_a_cell_is_known_by_its_parameters_code_cells_and_threads(notebook):
    book = notebook()
    (one,) = keys(book, "tau=0.5")
    assert keys(book, "tau=0.5,0.6")[0] == one
    assert keys(book, "tau=0.5", "name=plain") == [one]  # the default, said aloud
    assert len({one, *keys(book, "tau=0.6"), *keys(book, "tau=0.5", "seed=1")}) == 3
    assert keys(book, "tau=0.5", threads=2) != [one]
    text = book.read_text()
    book.write_text(text.replace("# Tiny", "# A better title"))
    assert keys(book, "tau=0.5") == [one]
    book.write_text(text.replace("(1 + tau)", "(2 + tau)"))
    assert keys(book, "tau=0.5") != [one]
    book.write_text(text.replace("pause: float = 0.0", "pause: float = 0.1"))
    assert keys(book, "tau=0.5") != [one]


def test_the_number_of_jobs_makes_no_other_cell(notebook):
    book = notebook("print(tau, jobs, out)", "tau = 0.1\njobs = 1\nout = ''")
    assert keys(book, "jobs=3", "tau=0.2") == keys(book, "tau=0.2")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package in the place of this one: a chain of imports, one of them inside a function."""
    files = {
        "__init__": "import pkg.base",
        "base": "",
        "one/__init__": "from pkg.one.two import f",
        "one/two": "def f():\n    from pkg import three\n",
        "three": "from pkg.plots import curve\nimport json",
        "four": "",
        "plots/__init__": "import pkg.four",
    }
    for name, text in files.items():
        path = tmp_path / "pkg" / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(files, "PACKAGE", tmp_path / "pkg")
    return tmp_path / "pkg"


@pytest.mark.parametrize(
    ("cells", "parts"),
    [
        (["import json\nx = 1"], ()),
        (["import pkg"], ("__init__", "base")),
        (["import pkg.four"], ("__init__", "base", "four")),
        (["from pkg.three import x"], ("__init__", "base", "three")),
        (["from pkg import one"], ("__init__", "base", "one/__init__", "one/two", "three")),
        (["1", "from pkg.one import f"], ("__init__", "base", "one/__init__", "one/two", "three")),
        (["from pkg.plots import curve"], ("__init__", "base")),  # only draws
        (["%matplotlib inline\nimport pkg"], (".",)),
        (["from . import x"], (".",)),
    ],
)
def test_the_code_that_matters_is_what_the_notebook_reaches(package, cells, parts):
    assert code_that_matters(cells) == parts


def test_in_this_package_the_measurement_matters_and_the_plots_do_not():
    parts = code_that_matters(
        ["from rurklib.residual import estimates", "import rurklib.study.figures"]
    )
    assert {"residual/counts", "residual/estimates", "perturb/noise", "guard", "__init__"} <= {
        *parts
    }
    assert not [p for p in parts if p.split("/")[0] in ("plots", "report", "sweep", "cli", "batch")]
    assert memo.code(*parts) != memo.code(*parts[1:])
