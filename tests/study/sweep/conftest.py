"""A notebook of two cells that takes no time beside its kernel's start."""

from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from rurklib.study import books

PARAMETERS = """\
tau: float = 0.03  # radius
seed: int = 0  # decides x
name: str = "plain"  # a word
layers: list = [1, 2]  # a list
bound: float = None  # or a number
out: str = ""  # folder for the rows
jobs: int = 1  # changes nothing
pause: float = 0.0  # seconds
harm: str = ""  # code to be executed"""

WORK = """\
import random, time
from pathlib import Path

exec(harm)
time.sleep(pause)
x = random.Random(seed).random() * (1 + tau)
rows = f"x,kind,code\\n{x:.8g},{name},007\\n{2 * x:.8g},{len(layers)},{bound}\\n"
Path(out, "rows.csv").write_text(rows)"""


@pytest.fixture
def notebook(tmp_path) -> Callable[..., Path]:
    """``notebook(work=..., parameters=...)``: the path of such a notebook."""

    def make(work: str = WORK, parameters: str = PARAMETERS, at: str = "tiny.ipynb") -> Path:
        tagged = new_code_cell(parameters, metadata={"tags": ["parameters"]})
        book = new_notebook(cells=[new_markdown_cell("# Tiny"), tagged, new_code_cell(work)])
        nbformat.write(book, tmp_path / at)
        return tmp_path / at

    return make


@pytest.fixture
def no_kernel(monkeypatch) -> list[dict]:
    """Cells are executed in this process, one after the other; a list of what each was given."""
    given: list[dict] = []

    def execute(book: books.Notebook, target: Path, parameters: dict) -> None:
        given.append(dict(parameters))
        target.write_text(book.text)
        names: dict = {}
        for part in nbformat.reads(book.text, as_version=4).cells:
            if part.cell_type == "code":
                exec(part.source, names)
                if "parameters" in part.metadata.get("tags", []):
                    names |= parameters

    monkeypatch.setattr(books, "execute", execute)
    return given
