"""Execute one cell in a folder of its own; presence means done.

Everything is written into a temporary folder that is moved to ``cells/KEY`` last, with one rename,
and there is no other state. So a kill at any moment leaves a whole cell or a temporary folder, and
two processes at the same cell (one outlived its driver) do no harm: the first to end is kept.
"""

import errno
import os
import shutil
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rurklib.checks import InputError
from rurklib.study import files
from rurklib.study.notebooks import notebook
from rurklib.study.notebooks.notebook import Notebook
from rurklib.study.sweep.grid import Cell, code_of, key_of

Record = dict[str, Any]  # what cell.json says


DONE, FAILED = "cells", "failed"  # folders of finished cells, and of the last failure of others
RECORD, ROWS = "cell.json", "out/rows.csv"  # in a cell's folder; ``out`` is given to the notebook
DIED = "KernelDied"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def finished(out: Path, key: str) -> Record | None:
    """The record of a cell, if it is there and every file in the record is whole."""
    folder = out / DONE / key
    try:
        record = files.read_json(folder / RECORD)
        whole = all(files.digest(folder / n) == digest for n, digest in record["files"].items())
    except (InputError, KeyError, OSError):
        return None
    return record if whole else None


def temporary_folder(out: Path, key: str) -> Path:
    """The name of a new one, for a cell that is executed or removed."""
    return out / DONE / f".{key}.{files.PARTIAL}.{uuid.uuid4().hex}"


def remove_atomically(folder: Path, out: Path, key: str) -> None:
    """Remove a cell's folder, its name first: nobody must find half of it. Needs no room."""
    grave = temporary_folder(out, key)
    if folder.exists():
        folder.rename(grave)
        shutil.rmtree(grave, ignore_errors=True)


def execute(cell: Cell, out: Path, book: Notebook, threads: int) -> Record:
    """Execute a cell unless it is finished; once more if its kernel dies. A failure is a record
    like any other."""
    os.environ.update(dict.fromkeys(THREADS, str(threads)))  # for kernels, which inherit them
    record = finished(out, cell.key) or _attempt(cell, out, book, threads)
    return _attempt(cell, out, book, threads) if record.get("error") == DIED else record


def failure(cell: Cell, error: str, message: str, place: int | None = None) -> Record:
    """The record of a cell that failed, ``place`` the number of the notebook's cell that did."""
    said = {"status": "failed", "error": error, "message": message, "notebook_cell": place}
    return {"key": cell.key, "parameters": dict(cell.parameters), **said}


def _attempt(cell: Cell, out: Path, book: Notebook, threads: int) -> Record:
    folder, began = temporary_folder(out, cell.key), time.perf_counter()
    try:
        (folder / "out").mkdir(parents=True)
        record = _run(cell, folder, book, threads)
        record |= {"seconds": round(time.perf_counter() - began, 2), "peak_mb": _peak_mb()}
        files.write_json(folder / RECORD, record)
        return _keep(cell, out, folder, record)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        mend = "the disk is full: make room and run again; what is finished is kept"
        return failure(cell, type(error).__name__, mend if full else str(error))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(cell: Cell, folder: Path, book: Notebook, threads: int) -> Record:
    """The notebook, executed in ``folder``: the record of what it made, or of how it failed."""
    from papermill import PapermillExecutionError

    executed = folder / book.path.name
    given = {**cell.parameters, "out": str(folder / "out")}
    try:
        notebook.execute(book, executed, given)
        _check_rows(folder / ROWS, cell)
        if key_of(book, code_of(book), cell.parameters, threads) != cell.key:
            raise InputError(
                "the package's code changed meanwhile, or is another one on this worker; run again"
            )
    except PapermillExecutionError as error:
        return failure(cell, error.ename, error.evalue, error.exec_count)
    except OSError:
        raise
    except Exception as error:  # whatever papermill meets: one cell's failure, not the sweep's
        if "Kernel died" in str(error):  # while it worked, or at its start
            return failure(cell, DIED, "the kernel was killed, perhaps for its memory")
        return failure(cell, type(error).__name__, str(error))
    kept = [executed, folder / ROWS, *sorted((folder / "out" / "figures").glob("*.png"))]
    digests = {path.relative_to(folder).as_posix(): files.digest(path) for path in kept}
    made = {"status": "done", "files": digests}
    return {"key": cell.key, "parameters": dict(cell.parameters), **made}


def _check_rows(path: Path, cell: Cell) -> None:
    """Raise InputError for rows that can't be taken into the table of all."""
    if not path.exists():
        raise InputError("the notebook wrote no rows.csv into its folder `out`")
    try:
        rows = read_rows(path)
    except ValueError as error:
        raise InputError(f"rows.csv is no table: {error}") from None
    for name in rows.columns:
        if name in ("group", "cell"):
            taken = "which the sweep adds"
        elif name in cell.parameters and not _all_are(rows[name], cell.parameters[name]):
            taken = f"with other values than the parameter ({cell.parameters[name]!r})"
        else:
            continue
        raise InputError(f"rows.csv has a column {name!r}, {taken}: name it otherwise")


def read_rows(path: Path) -> pd.DataFrame:
    """A cell's rows as they are written: every field is text."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def _all_are(column: pd.Series, value: Any) -> bool:
    if not isinstance(value, float):
        return bool((column == str(value)).all())
    numbers = pd.to_numeric(column, errors="coerce")
    return np.allclose(numbers, value, rtol=1e-7, atol=0)  # written with eight digits


def _keep(cell: Cell, out: Path, folder: Path, record: Record) -> Record:
    """Move the folder to where it stays, unless the same cell was finished meanwhile."""
    first = finished(out, cell.key)
    if first is None:
        target = out / (DONE if record["status"] == "done" else FAILED) / cell.key
        target.parent.mkdir(exist_ok=True)
        remove_atomically(target, out, cell.key)  # an older failure, or a damaged cell
        folder.rename(target)
    if first or record["status"] == "done":
        remove_atomically(out / FAILED / cell.key, out, cell.key)
    return first or record


def _peak_mb() -> int:
    """The most memory in MB that any one kernel of this process has had so far: an upper bound for
    a cell's own once there were several. 0 where the system doesn't tell."""
    if sys.platform == "win32":
        return 0
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit / 1e6)
