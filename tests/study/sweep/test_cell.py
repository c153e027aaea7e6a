"""One cell: kept when it is whole, tried again when its kernel dies; without kernels."""

from __future__ import annotations

import pytest
from nbclient.exceptions import DeadKernelError

from rurklib.study import files, memo
from rurklib.study.sweep import cell, drive
from rurklib.study.sweep.grid import from_words

WORK_OF = "from pathlib import Path\nPath(out, 'rows.csv').write_text(f'x,tau\\n1,{tau}\\n')"


def job_of(book, out):
    plan = drive.plan(book, from_words(["tau=0"]), out)
    (out / "cells").mkdir(parents=True)
    return plan.jobs[0]


def test_a_finished_cell_is_never_executed_again(tmp_path, notebook, no_kernel):
    """A worker is killed after the cell is in place and before it says so."""
    job = job_of(notebook(), tmp_path / "s")
    first = cell.execute(job)
    assert cell.execute(job) == first
    assert len(no_kernel) == 1


@pytest.mark.parametrize(
    "death", [DeadKernelError("Kernel died"), RuntimeError("Kernel died before replying")]
)
@pytest.mark.parametrize("deaths", [1, 2])
def test_a_cell_whose_kernel_dies_is_tried_once_more(
    tmp_path, notebook, no_kernel, monkeypatch, death, deaths
):
    plain, left = notebook.execute, [death] * deaths

    def die(*arguments, **options):
        if left:
            raise left.pop()
        plain(*arguments, **options)

    monkeypatch.setattr(notebook, "execute", die)
    record = cell.execute(job_of(notebook(), tmp_path / "s"))
    assert record.get("error") == (None if deaths == 1 else "KernelDied")
    assert len(no_kernel) == 2 - deaths
    assert not left


def test_two_attempts_at_once_keep_the_first_to_end(tmp_path, notebook, no_kernel, monkeypatch):
    job = job_of(notebook(), tmp_path / "s")
    plain = notebook.execute
    inner = []

    def slow(*arguments, **options):
        monkeypatch.setattr(notebook, "execute", plain)
        inner.append(cell._attempt(job))
        plain(*arguments, **options)

    monkeypatch.setattr(notebook, "execute", slow)
    assert cell._attempt(job) == inner[0]
    assert cell.finished(tmp_path / "s", job.key) == inner[0]
    assert [p.name for p in (tmp_path / "s" / "cells").iterdir()] == [job.key]


def test_an_attempt_that_was_swept_away_is_not_kept(tmp_path, notebook, no_kernel, monkeypatch):
    """Its notebook goes on writing into a folder of the same name, where half is missing."""
    job = job_of(notebook(), tmp_path / "s")
    plain = notebook.execute

    def swept_meanwhile(source, target, parameters, cwd):
        text = source.read_text()
        cell.sweep_away(source.parent)
        (source.parent / "out").mkdir(parents=True)
        source.write_text(text)
        plain(source, target, parameters, cwd)

    monkeypatch.setattr(notebook, "execute", swept_meanwhile)
    assert cell._attempt(job)["status"] == "failed"
    assert not list((tmp_path / "s" / "cells").iterdir())


def test_code_that_changes_meanwhile_is_a_failure(tmp_path, notebook, no_kernel, monkeypatch):
    """The package is one called json here, so that the notebook can import it."""
    monkeypatch.setattr(files, "PACKAGE", tmp_path / "json")
    monkeypatch.setattr(files, "code", files.functools.cache(memo.code.__wrapped__))
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "__init__.py").write_text("a = 1")
    job = job_of(notebook("import json\n" + WORK_OF), tmp_path / "s")
    assert job.parts == ("__init__",)
    (tmp_path / "json" / "__init__.py").write_text("a = 2")
    assert "code changed meanwhile" in cell.execute(job)["message"]
    (tmp_path / "json" / "__init__.py").write_text("a = 1  # as it was")
    assert cell.execute(job)["status"] == "done"
