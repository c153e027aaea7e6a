"""One cell: kept when it is whole, tried again when its kernel dies; without kernels."""

import pytest
from nbclient.exceptions import DeadKernelError

from rurklib.study.notebooks import notebook as books
from rurklib.study.sweep import cell, run
from rurklib.study.sweep.grid import from_options

WORK_OF = "from pathlib import Path\nPath(out, 'rows.csv').write_text(f'x,tau\\n1,{tau}\\n')"


@pytest.fixture
def job(tmp_path):
    """``job(book)``: what a worker is given for the one cell of a sweep in ``tmp_path / "s"``."""

    def make(book):
        plan = run.plan(book, from_options(["tau=0"]), tmp_path / "s")
        (tmp_path / "s" / "cells").mkdir(parents=True, exist_ok=True)
        return plan.cells[0], plan.out, plan.book, plan.threads

    return make


def test_a_finished_cell_is_never_executed_again(job, notebook, no_kernel):
    """A worker is killed after the cell is in place and before it says so."""
    given = job(notebook())
    first = cell.execute(*given)
    assert cell.execute(*given) == first
    assert len(no_kernel) == 1


@pytest.mark.parametrize(
    "death", [DeadKernelError("Kernel died"), RuntimeError("Kernel died before replying")]
)
@pytest.mark.parametrize("deaths", [1, 2])
def test_a_cell_whose_kernel_dies_is_tried_once_more(
    job, notebook, no_kernel, monkeypatch, death, deaths
):
    plain, left = books.execute, [death] * deaths

    def die(*arguments, **options):
        if left:
            raise left.pop()
        plain(*arguments, **options)

    monkeypatch.setattr(books, "execute", die)
    record = cell.execute(*job(notebook()))
    assert record.get("error") == (None if deaths == 1 else "KernelDied")
    assert len(no_kernel) == 2 - deaths
    assert not left


@pytest.mark.parametrize("swept", [False, True])
def test_two_attempts_at_once_keep_the_first_to_end(
    job, tmp_path, notebook, no_kernel, monkeypatch, swept
):
    """Also if another sweep has removed the second's folder meanwhile, and its notebook goes on
    writing into a new one of the same name, where half is missing."""
    given = job(notebook())
    plain = books.execute
    first = []

    def slow(book, target, parameters):
        monkeypatch.setattr(books, "execute", plain)
        first.append(cell._attempt(*given))
        if swept:
            cell.remove_atomically(target.parent, *given[1:2], given[0].key)
            (target.parent / "out").mkdir(parents=True)
        plain(book, target, parameters)

    monkeypatch.setattr(books, "execute", slow)
    assert cell._attempt(*given) == first[0]
    assert cell.finished(tmp_path / "s", given[0].key) == first[0]
    assert [p.name for p in (tmp_path / "s" / "cells").iterdir()] == [given[0].key]


def test_code_that_changes_meanwhile_is_a_failure(job, notebook, no_kernel, package):
    """The package is one called json here, so that the notebook can import it."""
    module = package("json", {"__init__": "", "decoder": "a = 1"}) / "decoder.py"
    given = job(notebook("from json import decoder\n" + WORK_OF))
    module.write_text("a = 2")
    assert "code changed meanwhile" in cell.execute(*given)["message"]
    module.write_text("a = 1  # as it was")
    assert cell.execute(*given)["status"] == "done"
