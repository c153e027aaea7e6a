"""Execute one cell in a folder of its own; in place means done.

Everything is written into a temporary folder that is moved to ``cells/KEY`` last, with one rename.
So a kill at any moment leaves either a whole cell or a temporary folder, which the next run sweeps
away. Two processes may execute the same cell (one outlived its driver): the first to end is kept.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rurklib.checks import InputError
from rurklib.study import files, memo
from rurklib.study.notebooks import notebook
from rurklib.study.sweep import watch

Record = dict[str, Any]


DONE, FAILED = "cells", "failed"  # folders of finished cells, and of the last failure of others


RECORD = "cell.json"


OUT, ROWS = "out", "rows.csv"  # the notebook's own folder, empty at first, and what it writes there


DIED = "KernelDied"


MARK = ".attempt"  # gone if the temporary folder was swept away and made again by a late writer


RESERVED = ("group", "cell")  # columns that the sweep adds, besides the parameters


THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


ONE_AT_A_TIME = threading.Lock()  # papermill changes the process's folder, and memory is measured


@dataclass(frozen=True)
class Job:
    """All that a worker needs, in plain data."""

    key: str
    parameters: Mapping[str, Any]
    out: str
    notebook: str  # its path: the kernel runs in its folder
    text: str  # its content
    parts: tuple[str, ...]  # the package's files that matter
    code: str  # their hash
    threads: int


def finished(out: Path, key: str) -> Record | None:
    """The record of a cell, if it is there and every file in the record is whole."""
    folder = out / DONE / key
    if not (folder / RECORD).exists():
        return None
    try:
        record = files.read_json(folder / RECORD)
        outputs = dict(record["files"])
    except (InputError, KeyError):
        return None
    for name, digest in outputs.items():
        if not (folder / name).exists() or files.digest(folder / name) != digest:
            return None
    return record


def under_way(out: Path) -> set[str]:
    """Keys of the cells that have a temporary folder."""
    found = (out / DONE).glob(f".*.{files.PARTIAL}.*")
    return {path.name.split(".")[1] for path in found}


def sweep_away(folder: Path) -> None:
    """Remove a folder, its name first: a late writer must not find half of it. Needs no room."""
    grave = folder.with_name(f".removed.{uuid.uuid4().hex}")
    try:
        folder.rename(grave)
    except FileNotFoundError:
        return
    shutil.rmtree(grave, ignore_errors=True)


def execute(job: Job) -> Record:
    """Execute a cell unless it is finished; once more if its kernel dies. Never raises."""
    import papermill  # noqa: F401 - seconds, once for a worker: not the cell's time

    with ONE_AT_A_TIME:
        record = finished(Path(job.out), job.key)
        for _ in range(2):
            if record is None or record.get("error") == DIED:
                record = _attempt(job)
        assert record is not None
        return record


def failure(job: Job, error: str, message: str, cell: int | None = None) -> Record:
    """What is told of a cell that failed."""
    said = {"status": "failed", "error": error, "message": message, "cell": cell}
    return {"key": job.key, "parameters": dict(job.parameters), **said}


def _attempt(job: Job) -> Record:
    out, began, peak = Path(job.out), time.perf_counter(), [0.0]
    folder = None

    def measured() -> Record:
        return {"seconds": round(time.perf_counter() - began, 2), "peak_mb": round(peak[0])}

    try:
        folder = Path(tempfile.mkdtemp(dir=out / DONE, prefix=f".{job.key}.{files.PARTIAL}."))
        folder.chmod(0o755)
        (folder / OUT).mkdir()
        (folder / MARK).touch()
        with _capped(job.threads), watch.over(folder / MARK, peak):
            record = _run(job, folder)
        return _keep(job, folder, record | measured())
    except OSError as error:
        return failure(job, type(error).__name__, _plainly(error)) | measured()
    finally:
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _run(job: Job, folder: Path) -> Record:
    """The notebook, executed in ``folder``: the record of what it made, or of how it failed."""
    import nbformat
    from nbclient.exceptions import DeadKernelError
    from papermill import PapermillExecutionError

    book = folder / Path(job.notebook).name
    given = dict(job.parameters) | {"out": str(folder / OUT)}
    try:
        book.write_text(job.text, encoding="utf-8")
        notebook.execute(book, book, given, cwd=Path(job.notebook).parent)
    except PapermillExecutionError as error:
        return failure(job, error.ename, error.evalue, error.exec_count)
    except OSError:
        raise
    except Exception as error:  # whatever papermill meets: one cell's failure, not the sweep's
        if not (folder / MARK).exists():
            return failure(job, "Abandoned", "another run has swept this attempt away")
        if isinstance(error, DeadKernelError) or "Kernel died" in str(error):  # at its start
            return failure(job, DIED, "the kernel was killed, perhaps for its memory")
        return failure(job, type(error).__name__, str(error))
    executed = nbformat.read(book, as_version=4)
    notebook.forget_paths(executed.metadata)
    nbformat.write(executed, book)
    unusable = _unusable(folder / OUT / ROWS, job)
    if unusable:
        return failure(job, "InputError", unusable)
    figures = sorted((folder / OUT / "figures").glob("*.png"))
    kept = [book, folder / OUT / ROWS, *figures]
    outputs = {path.relative_to(folder).as_posix(): files.digest(path) for path in kept}
    record = {"key": job.key, "parameters": dict(job.parameters), "notebook": book.name}
    return record | {"status": "done", "files": outputs}


def _unusable(rows: Path, job: Job) -> str | None:
    """Why a cell's rows can't be taken, or None."""
    if not rows.exists():
        return f"the notebook wrote no {ROWS} into its folder `out`"
    try:
        frame = read_rows(rows)
    except ValueError as error:
        return f"{ROWS} is no table: {error}"
    for name in frame.columns:
        if name in RESERVED:
            return f"{ROWS} has a column {name!r}, which the sweep adds: name it otherwise"
        if name in job.parameters and not frame[name].map(_is(job.parameters[name])).all():
            return (
                f"{ROWS} has a column {name!r} with other values than the parameter "
                f"({job.parameters[name]!r}): name it otherwise"
            )
    if memo.code.__wrapped__(*job.parts) != job.code:
        return "the package's code changed meanwhile, or is another one on this worker; run again"
    return None


def read_rows(path: Path) -> Any:
    """A cell's rows as they are written: every field is text."""
    import pandas as pd

    return pd.read_csv(path, dtype=str, keep_default_na=False)


def _is(value: Any) -> Any:
    def same(text: str) -> bool:
        if isinstance(value, float):
            try:
                return abs(float(text) - value) <= 1e-7 * abs(value)  # written with eight digits
            except ValueError:
                return False
        return bool(text == str(value))

    return same


def _keep(job: Job, folder: Path, record: Record) -> Record:
    """Move the folder to where it stays, unless the same cell was finished meanwhile."""
    out = Path(job.out)
    (folder / MARK).unlink()
    files.write_json(folder / RECORD, record)
    done = record["status"] == "done"
    target = out / (DONE if done else FAILED) / job.key
    if done:
        before = finished(out, job.key)
        if before is not None:
            return before
    sweep_away(target)  # an older failure, or a damaged cell
    target.parent.mkdir(exist_ok=True)
    folder.rename(target)
    if done:
        sweep_away(out / FAILED / job.key)
    return record


def _plainly(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the disk is full: make room and run again; what is finished is kept"
    return str(error)


@contextmanager
def _capped(threads: int) -> Iterator[None]:
    """Kernels inherit these. The same number everywhere, so that sums come out the same."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
