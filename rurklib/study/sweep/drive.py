"""Execute what is missing of a sweep, and write what came out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rurklib import checks
from rurklib.checks import InputError
from rurklib.study import files, memo
from rurklib.study.notebooks import notebook as books
from rurklib.study.sweep import cell, engines, gather, grid, key
from rurklib.study.sweep.cell import Job, Record
from rurklib.study.sweep.grid import Groups
from rurklib.study.sweep.progress import told

SAID = "sweep.json"  # what a folder is the sweep of


FORMAT = 1


@dataclass(frozen=True)
class Plan:
    """A checked sweep. ``columns`` are the parameters that its groups name."""

    out: Path
    notebook: str
    jobs: tuple[Job, ...]
    groups: tuple[tuple[str, ...], ...]  # of each job
    columns: tuple[str, ...]


def plan(notebook: Path, groups: Groups, out: Path, threads: int = 1) -> Plan:
    """Check everything that can be checked before anything starts; nothing is written.

    Raises InputError for a grid that doesn't fit the notebook and for a folder that isn't a sweep
    of it.
    """
    checks.count("threads", threads)
    notebook, out = notebook.resolve(), out.resolve()
    book = books.read(notebook)
    cells = grid.cells(book, groups)
    _check_folder(out, notebook.name)
    parts = key.code_that_matters(book.code)
    code = memo.code(*parts)
    jobs = tuple(
        Job(
            key=key.key(book.code, c.parameters, code, threads),
            parameters=c.parameters,
            out=str(out),
            notebook=str(notebook),
            text=book.text,
            parts=parts,
            code=code,
            threads=threads,
        )
        for c in cells
    )
    columns = tuple(grid.columns(book, groups))
    return Plan(out, notebook.name, jobs, tuple(c.groups for c in cells), columns)


def _check_folder(out: Path, notebook: str) -> None:
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / SAID).exists():
        raise InputError(f"{out} is not empty and not a sweep; choose another --out")
    said = files.read_json(out / SAID)
    if said.get("format") != FORMAT:
        raise InputError(f"{out} is a sweep of version {said.get('format')}; choose another --out")
    if said.get("notebook") != notebook:
        raise InputError(f"{out} is a sweep of {said.get('notebook')}; choose another --out")


def states(plan: Plan, ended: dict[str, Record] | None = None) -> list[Record]:
    """A record for each job: finished, else as it ended in this run, else as it failed in an
    earlier one, else ``missing``."""
    return [_state(plan.out, job, ended or {}) for job in plan.jobs]


def _state(out: Path, job: Job, ended: dict[str, Record]) -> Record:
    record = cell.finished(out, job.key) or ended.get(job.key)
    failed = out / cell.FAILED / job.key / cell.RECORD
    if record is None and failed.exists():
        record = files.read_json(failed)
    return record or {"key": job.key, "parameters": dict(job.parameters), "status": "missing"}


def seconds_known(out: Path) -> list[float]:
    """How long every finished cell in the folder took, whatever grid it was for."""
    folders = sorted((out / cell.DONE).glob("[!.]*"))
    return [record["seconds"] for f in folders if (record := cell.finished(out, f.name))]


def run(
    plan: Plan,
    at_once: int = 1,
    engine: str = "joblib",
    scheduler: str | None = None,
    say: Any = print,
) -> list[Record]:
    """Execute the cells that are missing and write results.csv, cells.csv and index.html.

    Returns a record for each cell, in the grid's order. Raises InputError if the folder is in use,
    if the scheduler doesn't answer, or if there is no such engine.
    """
    checks.count("jobs", at_once)
    checks.one_of("engine", engine, ("joblib", "dask"))
    with files.locked(plan.out), _engine(engine, scheduler, at_once) as engine_of:
        (plan.out / cell.DONE).mkdir(parents=True, exist_ok=True)
        files.write_json(plan.out / SAID, {"format": FORMAT, "notebook": plan.notebook})
        engines.clear(plan.out)
        before = states(plan)
        todo = [j for j, r in zip(plan.jobs, before, strict=True) if r["status"] != "done"]
        ended: dict[str, Record] = {}
        try:
            with told(plan.out, len(plan.jobs), len(todo), at_once, say) as tell:
                for record in engine_of(todo):
                    ended[record["key"]] = record
                    tell(record)
        finally:
            after = states(plan, ended)
            gather.write(plan.out, plan.notebook, plan.columns, plan.groups, after)
        return after


@contextmanager
def _engine(name: str, scheduler: str | None, at_once: int) -> Iterator[Any]:
    if name == "joblib":
        if scheduler is not None:
            raise InputError("--scheduler is for --engine dask; leave it out or add that")
        yield lambda jobs: engines.local(jobs, at_once)
        return
    with engines.connected(scheduler) as client:

        def on_dask(jobs: Sequence[Job]) -> Iterator[Record]:
            return engines.on_dask(jobs, client)

        yield on_dask
