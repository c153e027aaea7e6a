"""One notebook executed for every cell of a grid of parameters.

A notebook can be swept if it has a parameter ``out``, the folder that the sweep gives it, and
writes ``rows.csv`` there; it may write ``figures/*.png``. A cell is a folder ``cells/KEY``. It is
executed in a temporary folder that one rename moves into place, and there is no other state: a kill
at any moment leaves whole cells, and the same command executes what is missing or failed.
"""

import io
import itertools
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, create_model

from rurklib.checks import InputError, as_input_error
from rurklib.study import books, extend, parallel, report, store
from rurklib.study.books import NO_MATTER, Notebook
from rurklib.study.run import locked
from rurklib.study.scenario import literal, read_seeds, read_settings

Groups = Mapping[str, Mapping[str, list[Any]]]
Record = dict[str, Any]  # what cell.json says
SWEEP, CELL = "sweep.json", "cell.json"
STRICT = ConfigDict(strict=True, allow_inf_nan=False)
SEEDS = BeforeValidator(lambda values: read_seeds(values) if isinstance(values, str) else values)
_loading = threading.Lock()  # the threads of a worker must not execute a plugin twice


@dataclass(frozen=True)
class Cell:
    """The values of all parameters but ``out``, and the groups that name this cell."""

    key: str
    parameters: Mapping[str, Any]
    groups: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """A checked sweep. ``columns`` are the parameters that groups name, in the notebook's order."""

    out: Path
    book: Notebook
    cells: tuple[Cell, ...]
    columns: tuple[str, ...]


class Group(BaseModel, extra="allow"):
    """A group in a YAML file: lists of values, and one value of each parameter that is ``fixed``.
    The values of seed may be written as ``0..4``."""

    __pydantic_extra__: dict[str, Annotated[list[Any], SEEDS]] = Field(init=False)
    fixed: dict[str, Any] = {}


def from_file(path: Path) -> Groups:
    """Groups from YAML: ``NAME: {parameter: [values], ..., fixed: {parameter: value}}``."""
    with as_input_error():
        groups = TypeAdapter(dict[str, Group]).validate_python(read_settings(path))
    for name, group in groups.items():
        if both := group.fixed.keys() & group.__pydantic_extra__:
            raise InputError(f"{path}, group {name}: {min(both)} is varied and fixed; keep one")
        group.__pydantic_extra__ |= {key: [value] for key, value in group.fixed.items()}
    return {name: group.__pydantic_extra__ for name, group in groups.items()}


def from_options(options: Sequence[str]) -> Groups:
    """One group from ``NAME=V1,V2`` each; values are YAML, those of seed as in ``0..4`` or 0,1."""
    group: dict[str, list[Any]] = {}
    for option in options:
        name, _, text = (part.strip() for part in option.partition("="))
        values = read_seeds(text) if name == "seed" else literal(f"[{text}]")
        if not values or not isinstance(values, list):
            raise InputError(f"--grid {option}: expected NAME=V1,V2,... such as tau=0,0.01,0.03")
        group[name] = group.get(name, []) + values
    return {"grid": group}


def with_seeds(groups: Groups, text: str) -> Groups:
    """The groups with these values of ``seed``, where a group has none."""
    values = read_seeds(text)
    return {name: {**group, "seed": group.get("seed", values)} for name, group in groups.items()}


def plan(notebook: Path, groups: Groups, out: Path) -> Plan:
    """Check everything that can be checked before anything starts; nothing is written.

    A cell is a combination of a group's values, in the order in which groups, names and values are
    given; one that several groups name is executed once. Parameters that a group doesn't name have
    their defaults. Raises InputError for a grid that doesn't fit the notebook, or has no cells, and
    for a folder that isn't a sweep.
    """
    book, out = books.read(notebook.resolve()), out.resolve()
    named = [name for group in groups.values() for name in group]
    books.check_names(book, named)
    if "out" in named or "out" not in book.parameters:
        raise InputError(f"{notebook}: expected a parameter 'out', and a grid without it")
    if out.exists() and not (out / SWEEP).exists() and any(out.iterdir()):
        raise InputError(f"{out} is not empty and not a sweep; choose another --out")
    fields: dict[str, Any] = {n: kind for n, kind in book.parameters.items() if n != "out"}
    typed = create_model("Parameters", __config__=STRICT, **fields)
    found: dict[str, Cell] = {}
    for group, lists in groups.items():
        for values in itertools.product(*lists.values()):
            with as_input_error():
                parameters = typed(**dict(zip(lists, values, strict=True))).model_dump()
            key = key_of(book, parameters)
            cell = found.setdefault(key, Cell(key, parameters, ()))
            found[key] = replace(cell, groups=tuple(dict.fromkeys((*cell.groups, group))))
    if not found:
        raise InputError("the grid is empty: expected parameters and their values")
    columns = tuple(name for name in book.parameters if name in named)
    return Plan(out, book, tuple(found.values()), columns)


def key_of(book: Notebook, parameters: Mapping[str, Any]) -> str:
    """The key of a cell. PyTorch's version and the device don't count, so that a sweep that was
    begun on one machine can be finished on another."""
    plugins = [plugin.sha256 for plugin in extend.LOADED.values()]
    given = {name: value for name, value in parameters.items() if name not in NO_MATTER}
    inputs = {"book": book.python, "plugins": plugins, "parameters": given}
    return store.key("cell", inputs, here=False)


# --- what is executed -----------------------------------------------------------------------------


def states(plan: Plan) -> list[Record]:
    """A record for each cell: how it was finished, else how it failed, else ``missing``."""
    return [
        store.find(plan.out / "cells" / cell.key / CELL, cell.key)
        or store.find(plan.out / "failed" / cell.key / CELL, cell.key)
        or {"status": "missing"}
        for cell in plan.cells
    ]


def run(plan: Plan, jobs: int = 1, scheduler: str | None = None) -> list[Record]:
    """Execute the cells that are missing or failed, and write what came out.

    ``jobs`` at a time, or as many as the workers of the Dask cluster at ``scheduler`` have threads;
    these must see the folder under the same path. A failing cell stops no other. Writes
    results.csv, cells.csv and index.html. Returns a record for each cell, in the grid's order.
    Raises InputError if the folder is in use or no scheduler answers.
    """
    cells = plan.out / "cells"
    # Threads wait for kernels. Those of a ThreadPoolExecutor would make Ctrl-C wait for them.
    pool = ThreadPool(jobs) if scheduler is None else parallel.executor(jobs, scheduler)
    with locked(plan.out), pool as workers:
        cells.mkdir(parents=True, exist_ok=True)
        store.write_json(plan.out / SWEEP, {"notebook": plan.book.path.name})
        before = zip(plan.cells, states(plan), strict=True)
        todo = [cell for cell, record in before if record["status"] != "done"]
        for folder in [*(cells / cell.key for cell in todo), *cells.glob(".*")]:
            shutil.rmtree(folder, ignore_errors=True)  # damaged, or left by a killed process
        try:
            with parallel.progress(len(todo), "cells executed") as done:
                for record in _outcomes(plan, todo, workers):
                    if done(record)["status"] == "failed":
                        parallel.say(f"failed: {record['error']}: {record['message']}")
        finally:
            after = states(plan)
            write(plan, after)
    return after


def _outcomes(plan: Plan, todo: Sequence[Cell], workers: ThreadPool | Executor) -> Iterator[Record]:
    """The record of each cell as it ends, in whatever order."""
    work = partial(execute, plan.out, plan.book, list(extend.LOADED))
    if isinstance(workers, ThreadPool):
        yield from workers.imap_unordered(work, todo)
        return
    futures = {workers.submit(work, cell): cell.key for cell in todo}
    for future in as_completed(futures):
        if error := future.exception():  # such as workers that died of this cell
            record, key = _failure(error), futures[future]
            store.save(plan.out / "failed" / key / CELL, record, key)
        yield _failure(error) if error else future.result()


def _failure(error: BaseException) -> Record:
    """papermill's errors have the name and the message of the one in the notebook."""
    name = getattr(error, "ename", type(error).__name__)
    return {"status": "failed", "error": name, "message": getattr(error, "evalue", str(error))}


def execute(out: Path, book: Notebook, plugins: Sequence[str], cell: Cell) -> Record:
    """Execute a cell in a temporary folder and move that into place. A failure is a record too."""
    os.environ["OMP_NUM_THREADS"] = "1"  # kernels inherit it
    with _loading:
        extend.load(plugins)
    began = time.perf_counter()
    unmade = tempfile.TemporaryDirectory(prefix=".", dir=out / "cells", ignore_cleanup_errors=True)
    with unmade as place:
        folder = Path(place) / cell.key
        (folder / "out").mkdir(parents=True)
        try:
            if key_of(book, cell.parameters) != cell.key:
                raise InputError("this worker has other code of the package, or other plugins")
            given = {**cell.parameters, "out": str(folder / "out")}
            books.execute(book, folder / book.path.name, given)
            rows = (folder / "out" / "rows.csv").read_text(encoding="utf-8")
            read_rows(rows)
            record: Record = {"status": "done", "rows": rows}
        except Exception as error:  # whatever papermill meets, such as a killed kernel
            record = _failure(error)
        record["seconds"] = round(time.perf_counter() - began, 2)
        store.save(folder / CELL, record, cell.key)
        shutil.rmtree(out / "failed" / cell.key, ignore_errors=True)
        target = out / ("cells" if record["status"] == "done" else "failed") / cell.key
        target.parent.mkdir(exist_ok=True)
        try:
            os.replace(folder, target)
        except OSError:
            if not target.exists():  # else another worker was first: its cell stays
                raise
    return record


# --- what came out --------------------------------------------------------------------------------


def read_rows(text: str) -> pd.DataFrame:
    """A cell's rows as they are written: every field is text."""
    return pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)


def write(plan: Plan, records: Sequence[Record]) -> None:
    """Write results.csv, with the rows of all finished cells, cells.csv and index.html.

    The bytes of results.csv depend on the grid and its cells alone: not on kills, nor on where and
    in which order cells were executed.
    """
    table, columns = states_table(plan, records), list(plan.columns)
    frames = [pd.DataFrame(columns=["group", "cell", *columns], dtype=str)]
    pictures, links = [], []
    named = table[columns].to_dict("records")
    for cell, record, texts in zip(plan.cells, records, named, strict=True):
        folder = "cells" if record["status"] == "done" else "failed"
        links.append((f"{folder}/{cell.key}/{plan.book.path.name}", cell.key))
        if record["status"] == "done":
            rows = read_rows(record["rows"]).assign(cell=cell.key, **texts)
            frames += [rows.assign(group=group) for group in cell.groups]
        about = ", ".join(f"{name} {text}" for name, text in texts.items())
        for path in sorted((plan.out / "cells" / cell.key / "out" / "figures").glob("*.png")):
            address = path.relative_to(plan.out).as_posix()
            pictures.append((address, f"{path.stem} of {about}", about))
    store.write_frame(plan.out / "results.csv", pd.concat(frames, ignore_index=True).fillna(""))
    store.write_frame(plan.out / "cells.csv", table)
    counts = [f"{number} {status}" for status, number in table.status.value_counts().items()]
    title = f"Sweep of {plan.book.path.name}: {', '.join(counts)}"
    table = table.assign(cell=links)[table.status != "missing"]
    first = table.sort_values("status", ascending=False, kind="stable")  # failed before done
    parts = [report.Part("Cells", table=first), report.Part("Figures", pictures=pictures)]
    report.page(plan.out / "index.html", title, parts)


def states_table(plan: Plan, records: Sequence[Record]) -> pd.DataFrame:
    """One row for each cell: key, groups, parameters, state, seconds, error."""
    names = [(cell.key, " ".join(cell.groups)) for cell in plan.cells]
    values = pd.DataFrame([cell.parameters for cell in plan.cells], dtype=object)
    parts = [
        pd.DataFrame(names, columns=["cell", "groups"]),
        values[list(plan.columns)].map(_text),
        pd.DataFrame(records, columns=["status", "seconds", "error", "message"]),
    ]
    return pd.concat(parts, axis=1)


def _text(value: Any) -> str:
    """Words as they are, None as nothing, lists as JSON."""
    is_json = isinstance(value, (list, dict))
    return "" if value is None else json.dumps(value) if is_json else str(value)
