"""Execute what is missing of a sweep with joblib's worker processes, or on a Dask cluster.

Both are executors as ``concurrent.futures`` knows them, which tell whose cell was lost with its
worker. ``joblib.Parallel`` doesn't tell, and waits for ever for what Dask has lost (joblib 1.6).
"""

import os
import shutil
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, wait
from contextlib import contextmanager
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
    planned = Plan(
        out, book, grid.cells(book, groups, threads), grid.columns(book, groups), threads
    )
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
    return [_state(plan.out, cell, ended or {}) for cell in plan.cells]


def _state(out: Path, cell: Cell, ended: dict[str, Record]) -> Record:
    record = cells.finished(out, cell.key) or ended.get(cell.key)
    failed = out / cells.FAILED / cell.key / cells.RECORD
    if record is None and failed.exists():
        record = files.read_json(failed)
    return record or {"key": cell.key, "parameters": dict(cell.parameters), "status": "missing"}


def run(plan: Plan, jobs: int = 1, scheduler: str | None = None) -> list[Record]:
    """Execute the cells that are missing, ``jobs`` at a time, and write what came out.

    With a ``scheduler`` such as tcp://HOST:PORT, the workers of that Dask cluster execute them;
    they must see the folder under the same path, and decide how many at a time. A failing cell
    stops no other; progress goes to stderr. Writes results.csv, cells.csv and index.html. Returns a
    record for each cell, in the grid's order. Raises InputError if the folder is in use or no
    scheduler answers.
    """
    checks.count("jobs", jobs)
    with files.locked(plan.out), _pools(scheduler) as new_pool:
        (plan.out / cells.DONE).mkdir(parents=True, exist_ok=True)
        files.write_json(plan.out / SWEEP, {"notebook": plan.book.path.name})
        before = zip(plan.cells, states(plan), strict=True)
        todo = [cell for cell, record in before if record["status"] != "done"]
        ended: dict[str, Record] = {}
        n, every = len(plan.cells), 1 if sys.stderr.isatty() else 30  # seconds between two lines
        with tqdm(total=n, initial=n - len(todo), unit="cell", mininterval=every) as progress:
            try:
                at_once = len(todo) if scheduler else jobs  # a cluster decides
                for record in _records(plan, todo, at_once, new_pool):
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


def _records(
    plan: Plan, todo: Sequence[Cell], at_once: int, new_pool: Callable[[], Executor]
) -> Iterator[Record]:
    """A record for each cell as it ends, in whatever order.

    Every cell that is executed has a pool of its own, since a killed worker breaks its pool and
    would take others' cells along. A cell that loses its worker is tried once more, at the end.
    """
    waiting, lost = deque(todo), set()
    idle = [new_pool() for _ in range(min(at_once, len(todo)))]
    running: dict[Future[Record], tuple[Executor, Cell]] = {}
    while waiting or running:
        while waiting and idle:
            pool, cell = idle.pop(), waiting.popleft()
            task = partial(cells.execute, cell, plan.out, plan.book, plan.threads)
            try:
                future = pool.submit(task)
            except BrokenExecutor:  # its worker was killed while it was idle
                pool = new_pool()
                future = pool.submit(task)
            running[future] = pool, cell
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            pool, cell = running.pop(future)
            broken = isinstance(future.exception(), BrokenExecutor)
            idle.append(new_pool() if broken else pool)
            if broken and cell.key not in lost:
                lost.add(cell.key)
                waiting.append(cell)
            else:
                yield _record(plan.out, cell, future)


def _record(out: Path, cell: Cell, future: Future[Record]) -> Record:
    """What a cell's executor says, after waiting for it; a lost worker is a failure of the cell."""
    error = future.exception()
    if error is None:
        return future.result()
    name = "WorkerKilled" if isinstance(error, BrokenExecutor) else type(error).__name__
    killed = "two workers were killed over it, perhaps for their memory"
    message = killed if isinstance(error, BrokenExecutor) else str(error)
    return cells.finished(out, cell.key) or cells.failure(cell, name, message)


@contextmanager
def _pools(scheduler: str | None) -> Iterator[Callable[[], Executor]]:
    """A function that makes executors: of one worker of this machine, or of a Dask cluster."""
    if scheduler is not None:
        with _connected(scheduler) as client:
            yield lambda: client.get_executor(pure=False)
        return
    from joblib.externals.loky import ProcessPoolExecutor

    made: list[Any] = []

    def pool() -> Executor:
        made.append(ProcessPoolExecutor(1, initializer=_end_with, initargs=(os.getpid(),)))
        return made[-1]

    try:
        yield pool
    finally:
        for one in made:
            one.shutdown(kill_workers=True)


def _connected(scheduler: str) -> Any:
    """A client of a Dask scheduler. Raises InputError if there is none."""
    needs("distributed", extra="dask")
    from distributed import Client

    try:
        return Client(scheduler, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise InputError(f"--scheduler {scheduler}: no Dask scheduler answers ({error})") from None


def _end_with(driver: int) -> None:
    """End this worker when ``driver``, its parent, has ended, who can't tell when it is killed. The
    kernel below ends by itself, as every kernel looks after its own parent."""

    def look() -> None:
        while os.getppid() == driver:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()
