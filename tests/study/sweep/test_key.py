"""What makes a cell another cell, and what doesn't."""

from pathlib import Path

import pytest

from rurklib.study.sweep.grid import from_options
from rurklib.study.sweep.run import plan


def keys(book, *words, threads=1):
    return [cell.key for cell in plan(book, from_options(words), Path("none"), threads).cells]


def test_a_cell_is_known_by_its_parameters_statements_and_threads(notebook):
    book = notebook()
    (one,) = keys(book, "tau=0.5")
    assert keys(book, "tau=0.5,0.6")[0] == one
    assert keys(book, "tau=0.5", "name=plain") == [one]  # the default, said aloud
    assert len({one, *keys(book, "tau=0.6"), *keys(book, "tau=0.5", "seed=1")}) == 3
    assert keys(book, "tau=0.5", threads=2) != [one]
    text = book.read_text()
    for same in (("# Tiny", "# A better title"), ("# seconds", "# how long it waits")):
        book.write_text(text.replace(*same))
        assert keys(book, "tau=0.5") == [one]
    for other in (("(1 + tau)", "(2 + tau)"), ("pause: float = 0.0", "pause: float = 0.1")):
        book.write_text(text.replace(*other))
        assert keys(book, "tau=0.5") != [one]


def test_the_number_of_jobs_makes_no_other_cell(notebook):
    book = notebook("print(tau, jobs, out)", "tau = 0.1\njobs = 1\nout = ''")
    assert keys(book, "jobs=3", "tau=0.2") == keys(book, "tau=0.2")


@pytest.mark.parametrize(
    ("work", "module", "matters"),
    [
        ("import json", "base", False),
        ("from rurklib.one.two import f", "one/two", True),
        ("from rurklib.one.two import f", "three", True),  # imported inside a function
        ("from rurklib.one.two import f", "four", False),
        ("from rurklib.one.two import f", "study/figures/curve", False),  # only draws
        ("from rurklib.study.figures import curve", "four", False),  # imported by what only draws
        ("from rurklib.one.two import f", "unlearn/mine", False),
        ("from rurklib.unlearn.contract import METHODS", "unlearn/mine", True),  # not imported
        ("%matplotlib inline\nfrom rurklib import three", "three", True),
    ],
)
def test_the_code_that_matters_is_what_the_notebook_reaches(
    package, notebook, work, module, matters
):
    texts = {
        "__init__": "",
        "base": "",
        "one/__init__": "from rurklib.one.two import f",
        "one/two": "def f():\n    from rurklib import three\n",
        "three": "from rurklib.study.figures import curve\nimport json",
        "four": "",
        "study/__init__": "",
        "unlearn/__init__": "",
        "unlearn/contract": "METHODS = {}",
        "unlearn/mine": "",
        "study/figures/__init__": "",
        "study/figures/curve": "import rurklib.four",
    }
    changed = package("rurklib", texts) / f"{module}.py"
    book = notebook(f"{work}\nprint(tau, out)")
    before = keys(book, "tau=0.5")
    changed.write_text(f"{changed.read_text()}\n# a comment")
    assert keys(book, "tau=0.5") == before
    changed.write_text(f"{changed.read_text()}\nmore = 1")
    assert (keys(book, "tau=0.5") != before) == matters
