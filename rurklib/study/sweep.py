"""One notebook executed for every cell of a grid of parameters.

A notebook can be swept if it has a parameter ``out``, the folder that the sweep gives it, and
writes ``rows.csv`` there; it may write ``figures/*.png``. A cell is a folder ``cells/KEY``. It is
executed in a temporary folder that one rename moves into place, and there is no other state: a kill
at any moment leaves whole cells, and the same command executes what is missing or failed.
"""

import io
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass, replace
from functools import partial, reduce
from multiprocessing.pool import ThreadPool
from operator import or_
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from rurklib.checks import InputError, as_input_error
from rurklib.study import books, extend, parallel, report, store
from rurklib.study.books import NO_MATTER, Notebook, Parameter
from rurklib.study.run import locked
from rurklib.study.scenario import Loader, read_seeds

Groups = Mapping[str, Mapping[str, list[Any]]]
Record = dict[str, Any]  # what cell.json says
SWEEP, CELL = "sweep.json", "cell.json"
STRICT = ConfigDict(strict=True, allow_inf_nan=False)
_loading = threading.Lock()  # the threads of a worker must not execute a plugin twice


@dataclass(frozen=True)
class Cell:
    """The values of all parameters that are known, and the groups that name this cell."""

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


def _seeds(values: Any) -> Any:
    return read_seeds(values) if isinstance(values, str) else values


class Group(BaseModel, extra="allow"):
    """A group in a YAML file: lists of values, and one value of each parameter that is ``fixed``.
    The values of seed may be written as ``0..4``."""

    __pydantic_extra__: dict[str, Annotated[list[Any], BeforeValidator(_seeds)]] = Field(init=False)
    fixed: dict[str, Any] = {}


def from_file(path: Path) -> Groups:
    """Groups from YAML: ``NAME: {parameter: [values], ..., fixed: {parameter: value}}``."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader)
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} is not YAML ({' '.join(str(error).split())})") from None
    with as_input_error():
        groups = TypeAdapter(dict[str, dict[str, Group]]).validate_python({path.name: content})
    lists: dict[str, dict[str, list[Any]]] = {}
    for name, group in groups[path.name].items():
        if both := group.fixed.keys() & group.__pydantic_extra__:
            raise InputError(f"{path}, group {name}: {min(both)} is varied and fixed; keep one")
        fixed = {key: [value] for key, value in group.fixed.items()}
        lists[name] = {**group.__pydantic_extra__, **fixed}
    return lists


def from_options(options: Sequence[str]) -> Groups:
    """One group from ``NAME=V1,V2`` each; values are YAML, and of seed also a range, ``0..4``."""
    group: dict[str, list[Any]] = {}
    for option in options:
        name, _, text = (part.strip() for part in option.partition("="))
        try:
            is_range = name == "seed" and ".." in text
            values = read_seeds(text) if is_range else yaml.load(f"[{text}]", Loader)
        except yaml.YAMLError:
            values = []
        if not values:
            raise InputError(f"--grid {option}: expected NAME=V1,V2,... such as tau=0,0.01,0.03")
        group[name] = group.get(name, []) + values
    return {"grid": group}


def with_seeds(groups: Groups, text: str) -> Groups:
    """The groups with these values of ``seed``, where a group has none."""
    values = read_seeds(text)
    return {name: {**group, "seed": group.get("seed", values)} for name, group in groups.items()}


def plan(notebook: Path, groups: Groups, out: Path) -> Plan:
    """Check everything that can be checked before anything starts; nothing is written.

    A cell is a combination of a group's values; one that several groups name is executed once.
    Parameters that a group doesn't name have their defaults. Raises InputError for a grid that
    doesn't fit the notebook and for a folder that isn't a sweep of it.
    """
    book, out = books.read(notebook.resolve()), out.resolve()
    named = [name for group in groups.values() for name in group]
    books.check_names(book, named)
    if "out" in named or "out" not in book.parameters:
        raise InputError(f"{notebook}: expected a parameter 'out', and a grid without it")
    if not groups or not all(groups.values()):
        raise InputError("the grid is empty: expected parameters and their values in each group")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        if not (out / SWEEP).exists():
            raise InputError(f"{out} is not empty and not a sweep; choose another --out")
        if (there := store.read_json(out / SWEEP)["notebook"]) != book.path.name:
            raise InputError(f"{out} is a sweep of {there}; choose another --out")
    columns = tuple(name for name in book.parameters if name in named)
    return Plan(out, book, _cells(book, groups), columns)


def _cells(book: Notebook, groups: Groups) -> tuple[Cell, ...]:
    """The cells in the order in which groups, names and values are given."""
    from sklearn.model_selection import ParameterGrid  # takes a second

    defaults = {p.name: p.default for p in book.parameters.values() if p.literal}
    defaults.pop("out", None)
    found: dict[str, Cell] = {}
    for group, lists in groups.items():
        # ParameterGrid sorts by name: numbers in place of names keep the order that is given.
        typed = [_typed(book.parameters[name], values) for name, values in lists.items()]
        for values in ParameterGrid(dict(enumerate(typed))):
            varied = {name: values[i] for i, name in enumerate(lists)}
            key = key_of(book, parameters := {**defaults, **varied})
            cell = found.setdefault(key, Cell(key, parameters, ()))
            found[key] = replace(cell, groups=tuple(dict.fromkeys((*cell.groups, group))))
    return tuple(found.values())


def _typed(parameter: Parameter, values: list[Any]) -> list[Any]:
    """Different values of the parameter's type; where that is float, 0 becomes one."""
    name, kinds = parameter.name, parameter.kinds
    annotation: Any = reduce(or_, kinds) if kinds else Any
    adapter = TypeAdapter(annotation, config=STRICT)
    try:
        typed = [adapter.validate_python(value := given) for given in values]
    except ValidationError:
        names = " or ".join("null" if k is type(None) else k.__name__ for k in kinds)
        quoted = "; put quotes around it" if str in kinds else ""
        raise InputError(f"{name} = {value!r}: expected a value of {names}{quoted}") from None
    if not typed or any(value in typed[:i] for i, value in enumerate(typed)):
        raise InputError(f"{name} = {values!r}: expected different values, at least one")
    return typed


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
    # Threads are enough to wait for kernels. Those of a ThreadPoolExecutor would make Ctrl-C wait
    # for the cells at work.
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
                for cell, record in _outcomes(plan, todo, workers):
                    if done(record)["status"] == "failed":
                        first = record["message"].partition("\n")[0]
                        text = f"failed: {cell.key}: {record['error']}: {first}"
                        print(text, file=sys.stderr, flush=True)
        finally:
            after = states(plan)
            write(plan, after)
    return after


def _outcomes(
    plan: Plan, todo: Sequence[Cell], workers: ThreadPool | Executor
) -> Iterator[tuple[Cell, Record]]:
    """Each cell with its record as it ends, in whatever order."""
    work = partial(execute, plan.out, plan.book, list(extend.LOADED))
    if isinstance(workers, ThreadPool):
        yield from workers.imap_unordered(work, todo)
        return
    futures = {workers.submit(work, cell): cell for cell in todo}
    for future in as_completed(futures):
        if (error := future.exception()) is None:
            yield future.result()
        else:  # such as workers that died of this cell
            cell = futures[future]
            record = {"status": "failed", "error": type(error).__name__, "message": str(error)}
            store.save(plan.out / "failed" / cell.key / CELL, record, cell.key)
            yield cell, record


def execute(out: Path, book: Notebook, plugins: Sequence[str], cell: Cell) -> tuple[Cell, Record]:
    """Execute a cell in a temporary folder and move that into place. A failure is a record too."""
    from papermill import PapermillExecutionError

    os.environ["OMP_NUM_THREADS"] = "1"  # kernels inherit it
    with _loading:
        extend.load(plugins)
    done, failed = (out / name / cell.key for name in ("cells", "failed"))
    if record := store.find(done / CELL, cell.key):  # by a worker that was killed after that
        return cell, record
    record, began = {"status": "failed", "error": "", "message": ""}, time.perf_counter()
    with tempfile.TemporaryDirectory(
        prefix=".", dir=out / "cells", ignore_cleanup_errors=True
    ) as place:
        folder = Path(place) / cell.key
        (folder / "out").mkdir(parents=True)
        try:
            if key_of(book, cell.parameters) != cell.key:
                raise InputError("this worker has other code of the package, or other plugins")
            given = {**cell.parameters, "out": str(folder / "out")}
            books.execute(book, folder / book.path.name, given)
            rows = (folder / "out" / "rows.csv").read_text(encoding="utf-8")
            read_rows(rows)
            record |= {"status": "done", "rows": rows}
        except PapermillExecutionError as error:
            record |= {"error": error.ename, "message": error.evalue}
        except Exception as error:  # whatever papermill meets, such as a killed kernel
            record |= {"error": type(error).__name__, "message": str(error)}
        record["seconds"] = round(time.perf_counter() - began, 2)
        store.save(folder / CELL, record, cell.key)
        shutil.rmtree(failed, ignore_errors=True)
        target = done if record["status"] == "done" else failed
        target.parent.mkdir(exist_ok=True)
        try:
            os.replace(folder, target)
        except OSError:
            if not target.exists():  # else another worker was first: its cell stays
                raise
    return cell, store.find(target / CELL, cell.key) or record


# --- what came out --------------------------------------------------------------------------------


def read_rows(text: str) -> pd.DataFrame:
    """A cell's rows as they are written: every field is text."""
    return pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False)


def write(plan: Plan, records: Sequence[Record]) -> None:
    """Write results.csv, with the rows of all finished cells, cells.csv and index.html.

    The bytes of results.csv depend on the grid and its cells alone: not on kills, nor on where and
    in which order cells were executed.
    """
    frames = [pd.DataFrame(columns=["group", "cell", *plan.columns], dtype=str)]
    pictures = []
    for cell, record in zip(plan.cells, records, strict=True):
        if record["status"] != "done":
            continue
        texts, rows = _texts(plan, cell), read_rows(record["rows"])
        for group in cell.groups:
            named = {"group": group, "cell": cell.key, **texts}
            kept = rows.drop(columns=list(named), errors="ignore")
            frames.append(pd.concat([pd.DataFrame(named, index=rows.index), kept], axis=1))
        about = ", ".join(f"{name} {text}" for name, text in texts.items())
        for path in sorted((plan.out / "cells" / cell.key / "out" / "figures").glob("*.png")):
            address = path.relative_to(plan.out).as_posix()
            pictures.append((address, f"{path.stem} of {about}", about))
    table = states_table(plan, records)
    store.write_frame(plan.out / "results.csv", pd.concat(frames, ignore_index=True).fillna(""))
    store.write_frame(plan.out / "cells.csv", table)
    counts = [f"{number} {status}" for status, number in table.status.value_counts().items()]
    title = f"Sweep of {plan.book.path.name}: {', '.join(counts)}"
    places = {"done": "cells", "failed": "failed"}
    links = [
        (f"{places[status]}/{key}/{plan.book.path.name}", key) if status in places else key
        for key, status in zip(table.cell, table.status, strict=True)
    ]
    linked = table.assign(cell=links)
    parts = [report.Part("All cells", table=linked.drop(columns=["error", "message"]))]
    if pictures:
        parts.insert(0, report.Part("Figures", pictures=pictures))
    if len(failed := linked[table.status == "failed"]):
        parts.insert(0, report.Part("Failed", table=failed, note="Run again to try these again."))
    report.page(plan.out / "index.html", title, parts)


def states_table(plan: Plan, records: Sequence[Record]) -> pd.DataFrame:
    """One row for each cell: key, groups, parameters, state, seconds, error."""
    columns = {"status": "", "seconds": None, "error": "", "message": ""}
    rows = [
        {"cell": cell.key, "groups": " ".join(cell.groups), **_texts(plan, cell)}
        | {name: record.get(name, default) for name, default in columns.items()}
        for cell, record in zip(plan.cells, records, strict=True)
    ]
    return pd.DataFrame(rows)


def _texts(plan: Plan, cell: Cell) -> dict[str, str]:
    """A cell's parameters in a table: words as they are, None as nothing, lists as JSON."""
    values = {name: cell.parameters.get(name) for name in plan.columns}
    return {
        name: "" if v is None else json.dumps(v) if isinstance(v, (list, dict)) else str(v)
        for name, v in values.items()
    }
