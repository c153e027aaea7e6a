"""Execute what is missing of a sweep: with threads of this machine, or on a Dask cluster.

Everything that a cell writes is in a temporary folder that is moved to ``cells/KEY`` last, with one
rename, and there is no other state. So a kill at any moment leaves a whole cell or a temporary
folder, and two processes at the same cell do no harm: the first to end is kept.
"""

import itertools
import os
import shutil
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rurklib import checks
from rurklib.checks import InputError
from rurklib.study import books, store
from rurklib.study.books import Notebook
from rurklib.study.run import locked, needs
from rurklib.study.sweep import collect, grid
from rurklib.study.sweep.collect import CELL, DONE, FAILED, ROWS, Record, read_rows
from rurklib.study.sweep.grid import Cell, Groups, Plan, code_of, key_of

SWEEP = "sweep.json"  # what a folder is the sweep of
PATIENCE = 10.0  # seconds for a scheduler to answer
DIED = "KernelDied"
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def plan(notebook: Path, groups: Groups, out: Path) -> Plan:
    """Check everything that can be checked before anything starts; nothing is written.

    Raises InputError for a grid that doesn't fit the notebook and for a folder that isn't a sweep
    of it.
    """
    book, out = books.read(notebook.resolve()), out.resolve()
    named = set(itertools.chain(*groups.values()))
    columns = tuple(name for name in book.parameters if name in named)
    planned = Plan(out, book, grid.cells(book, groups), columns)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if not (out / SWEEP).exists():
            raise InputError(f"{out} is not empty and not a sweep; choose another --out")
        there = store.read_json(out / SWEEP).get("notebook")
        if there != book.path.name:
            raise InputError(f"{out} is a sweep of {there}; choose another --out")
    return planned


def states(plan: Plan, ended: dict[str, Record] | None = None) -> list[Record]:
    """A record for each cell: finished, else as it ended in this run, else as it failed in an
    earlier one, else ``missing``."""
    records = []
    for cell in plan.cells:
        missing = {"key": cell.key, "parameters": dict(cell.parameters), "status": "missing"}
        record = _record(plan.out / DONE / cell.key) or (ended or {}).get(cell.key)
        records.append(record or _record(plan.out / FAILED / cell.key) or missing)
    return records


def run(plan: Plan, jobs: int = 1, scheduler: str | None = None) -> list[Record]:
    """Execute the cells that are missing, ``jobs`` at a time, and write what came out.

    With a ``scheduler`` such as tcp://HOST:PORT, the workers of that Dask cluster execute them;
    they must see the folder under the same path, and decide how many at a time. A failing cell
    stops no other; progress goes to stderr. Writes results.csv, cells.csv and index.html. Returns a
    record for each cell, in the grid's order. Raises InputError if the folder is in use or no
    scheduler answers.
    """
    checks.count("jobs", jobs)
    with locked(plan.out), _connected(scheduler) as client:
        (plan.out / DONE).mkdir(parents=True, exist_ok=True)
        store.write_json(plan.out / SWEEP, {"notebook": plan.book.path.name})
        before = zip(plan.cells, states(plan), strict=True)
        todo = [cell for cell, record in before if record["status"] != "done"]
        ended: dict[str, Record] = {}
        n = len(plan.cells)
        with tqdm(total=n, initial=n - len(todo), unit="cell") as progress:
            try:
                for record in _records(plan, todo, jobs, client):
                    ended[record["key"]] = record
                    if record["status"] == "failed":
                        first = next(iter(str(record["message"]).splitlines()), "")
                        text = f"failed: {record['key']}: {record['error']}: {first}"
                        progress.write(text, file=sys.stderr)
                    progress.update()
            finally:
                after = states(plan, ended)
                collect.write(plan, after)
                for half in (plan.out / DONE).glob(".*"):  # of killed processes
                    shutil.rmtree(half, ignore_errors=True)
        return after


def _records(plan: Plan, todo: Sequence[Cell], jobs: int, client: Any) -> Iterator[Record]:
    """A record for each cell as it ends, in whatever order.

    The work is done by kernels, each a process that a cell can't harm others from, so threads are
    enough here to wait for them. joblib has a Dask backend too, but waits for ever for what a
    killed worker had in hand (joblib 1.6); Dask itself tries it elsewhere, and tells at last.
    """
    work = partial(execute, out=plan.out, book=plan.book)
    if client is None:
        from joblib import Parallel, delayed

        # A thread too many: with one alone joblib works in the main thread, where nbclient takes
        # Ctrl-C for itself.
        parallel = Parallel(
            jobs + 1, backend="threading", pre_dispatch=jobs, return_as="generator_unordered"
        )
        yield from parallel(delayed(work)(cell) for cell in todo)
        return
    pool = client.get_executor(pure=False)
    futures = {pool.submit(work, cell): cell for cell in todo}
    for future in as_completed(futures):
        cell, error = futures[future], future.exception()
        if error is None:
            yield future.result()
        else:  # workers were killed over it
            failure = _failure(cell, type(error).__name__, str(error))
            yield _record(plan.out / DONE / cell.key) or failure


def _connected(scheduler: str | None) -> AbstractContextManager[Any]:
    """A client of a Dask scheduler, or None for this machine. Raises InputError if none answers."""
    if scheduler is None:
        return nullcontext()
    needs("distributed", extra="dask")
    from distributed import Client

    try:
        return Client(scheduler, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(f"--scheduler {scheduler}: no Dask scheduler answers ({error})") from None


# --- one cell -------------------------------------------------------------------------------------


def execute(cell: Cell, out: Path, book: Notebook) -> Record:
    """Execute a cell unless it is finished; once more if its kernel dies. A failure is a record
    like any other."""
    os.environ.update(dict.fromkeys(THREADS, "1"))  # for kernels, which inherit them
    record = _record(out / DONE / cell.key) or _attempt(cell, out, book)
    return _attempt(cell, out, book) if record.get("error") == DIED else record


def _record(folder: Path) -> Record | None:
    """What a cell's folder says of it, if it is there whole."""
    try:
        record = store.read_json(folder / CELL)
        there = record["status"] == "failed" or (folder / ROWS).exists()
    except (KeyError, OSError, ValueError):
        return None
    return record if there else None


def _failure(cell: Cell, error: str, message: str) -> Record:
    failed = {"status": "failed", "error": error, "message": message}
    return {"key": cell.key, "parameters": dict(cell.parameters), **failed}


def _attempt(cell: Cell, out: Path, book: Notebook) -> Record:
    folder = out / DONE / f".{cell.key}.{store.PARTIAL}.{uuid.uuid4().hex}"
    began = time.perf_counter()
    try:
        (folder / "out").mkdir(parents=True)
        record = _run(cell, folder, book)
        record["seconds"] = round(time.perf_counter() - began, 2)
        store.write_json(folder / CELL, record)
        return _keep(cell, out, folder, record)
    except OSError as error:  # such as a full disk
        return _failure(cell, type(error).__name__, str(error))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(cell: Cell, folder: Path, book: Notebook) -> Record:
    """The notebook, executed in ``folder``: the record that it is done, or of how it failed."""
    from papermill import PapermillExecutionError

    try:
        given = {**cell.parameters, "out": str(folder / "out")}
        books.execute(book, folder / book.path.name, given)
        if not (folder / ROWS).exists():
            raise InputError("the notebook wrote no rows.csv into its folder `out`")
        read_rows(folder / ROWS)
        if key_of(book, code_of(book), cell.parameters) != cell.key:
            raise InputError(
                "the package's code changed meanwhile, or is another one on this worker; run again"
            )
    except PapermillExecutionError as error:
        return _failure(cell, error.ename, error.evalue)
    except OSError:
        raise
    except Exception as error:  # whatever papermill meets: one cell's failure, not the sweep's
        if "Kernel died" in str(error):  # while it worked, or at its start
            return _failure(cell, DIED, "the kernel was killed, perhaps for its memory")
        return _failure(cell, type(error).__name__, str(error))
    return {"key": cell.key, "parameters": dict(cell.parameters), "status": "done"}


def _keep(cell: Cell, out: Path, folder: Path, record: Record) -> Record:
    """Move the folder to where it stays, unless the same cell was finished meanwhile."""
    done = out / DONE / cell.key
    target = done if record["status"] == "done" else out / FAILED / cell.key
    if _record(done) is None:
        shutil.rmtree(target, ignore_errors=True)  # an older failure, or a damaged cell
        target.parent.mkdir(exist_ok=True)
        try:
            folder.rename(target)
        except OSError:
            if _record(done) is None:
                raise
    if first := _record(done):
        shutil.rmtree(out / FAILED / cell.key, ignore_errors=True)
    return first or record
