"""Execute what is missing of a sweep: with threads of this machine, or on a Dask cluster."""

import itertools
import shutil
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from rurklib import checks
from rurklib.checks import InputError
from rurklib.study import files
from rurklib.study.environment import needs
from rurklib.study.notebooks import notebook as books
from rurklib.study.sweep import cell as cells
from rurklib.study.sweep import collect, grid
from rurklib.study.sweep.cell import Record
from rurklib.study.sweep.grid import Cell, Groups, Plan

SWEEP = "sweep.json"  # what a folder is the sweep of
PATIENCE = 10.0  # seconds for a scheduler to answer


def plan(notebook: Path, groups: Groups, out: Path, threads: int = 1) -> Plan:
    """Check everything that can be checked before anything starts; nothing is written.

    Raises InputError for a grid that doesn't fit the notebook and for a folder that isn't a sweep
    of it.
    """
    checks.count("threads", threads)
    book, out = books.read(notebook.resolve()), out.resolve()
    named = set(itertools.chain(*groups.values()))
    columns = tuple(name for name in book.parameters if name in named)
    planned = Plan(out, book, grid.cells(book, groups, threads), columns, threads)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if not (out / SWEEP).exists():
            raise InputError(f"{out} is not empty and not a sweep; choose another --out")
        there = files.read_json(out / SWEEP).get("notebook")
        if there != book.path.name:
            raise InputError(f"{out} is a sweep of {there}; choose another --out")
    return planned


def states(plan: Plan, ended: dict[str, Record] | None = None) -> list[Record]:
    """A record for each cell: finished, else as it ended in this run, else as it failed in an
    earlier one, else ``missing``."""
    records = []
    for cell in plan.cells:
        record = cells.finished(plan.out, cell.key) or (ended or {}).get(cell.key)
        failed = plan.out / cells.FAILED / cell.key / cells.RECORD
        if record is None and failed.exists():
            record = files.read_json(failed)
        missing = {"key": cell.key, "parameters": dict(cell.parameters), "status": "missing"}
        records.append(record or missing)
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
    with files.locked(plan.out), _connected(scheduler) as client:
        (plan.out / cells.DONE).mkdir(parents=True, exist_ok=True)
        files.write_json(plan.out / SWEEP, {"notebook": plan.book.path.name})
        before = zip(plan.cells, states(plan), strict=True)
        todo = [cell for cell, record in before if record["status"] != "done"]
        ended: dict[str, Record] = {}
        n, every = len(plan.cells), 1 if sys.stderr.isatty() else 30  # seconds between two lines
        with tqdm(total=n, initial=n - len(todo), unit="cell", mininterval=every) as progress:
            try:
                for record in _records(plan, todo, jobs, client):
                    ended[record["key"]] = record
                    if record["status"] == "failed":
                        progress.write(f"failed: {_line(record)}", file=sys.stderr)
                    progress.update()
            finally:
                after = states(plan, ended)
                collect.write(plan, after)
                for half in (plan.out / cells.DONE).glob(".*"):  # of killed processes
                    shutil.rmtree(half, ignore_errors=True)
        return after


def _line(record: Record) -> str:
    """A failure in one line: which cell, where in the notebook, what it said."""
    place = f", cell {record['notebook_cell']}" if record["notebook_cell"] is not None else ""
    first = next(iter(str(record["message"]).splitlines()), "")
    return f"{record['key']}{place}: {record['error']}: {first}"


def _records(plan: Plan, todo: Sequence[Cell], jobs: int, client: Any) -> Iterator[Record]:
    """A record for each cell as it ends, in whatever order.

    The work is done by kernels, each a process that a cell can't harm others from, so threads are
    enough here to wait for them. joblib has a Dask backend too, but waits for ever for what a
    killed worker had in hand (joblib 1.6); Dask itself tries it elsewhere, and tells at last.
    """
    execute = partial(cells.execute, out=plan.out, book=plan.book, threads=plan.threads)
    if client is None:
        from joblib import Parallel, delayed

        # A thread too many: with one alone joblib works in the main thread, where nbclient takes
        # Ctrl-C for itself.
        parallel = Parallel(
            jobs + 1, backend="threading", pre_dispatch=jobs, return_as="generator_unordered"
        )
        yield from parallel(delayed(execute)(cell) for cell in todo)
        return
    pool = client.get_executor(pure=False)
    futures = {pool.submit(execute, cell): cell for cell in todo}
    for future in as_completed(futures):
        cell, error = futures[future], future.exception()
        if error is None:
            yield future.result()
        else:  # workers were killed over it
            failure = cells.failure(cell, type(error).__name__, str(error))
            yield cells.finished(plan.out, cell.key) or failure


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
