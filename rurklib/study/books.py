"""Notebooks: their parameters, executed by papermill, alone or in a study's order.

A notebook says in its metadata where it belongs, so that a new one is one file::

    "rurk": {"command": "study", "scenarios": ["digits"]}

``command`` (study) executes it, in the order of names; ``scenarios`` leaves it out for others.

An executed notebook is kept in the run under its key, as everything is; ``outputs.json`` has the
checksums of the files that it wrote. If one of them is missing or damaged, it is executed again.
"""

import ast
import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rurklib.checks import InputError, one_of
from rurklib.study import extend, store
from rurklib.study.parallel import progress, say
from rurklib.study.run import Run

OUTPUTS = "outputs.json"
NO_OUTPUTS = ("run.json", "env.json", "split.json", OUTPUTS)
NO_MATTER = ("out", "jobs")  # parameters that say where and how, and can't change what comes out
KINDS = {"int": int, "float": float, "str": str, "bool": bool, "list": list, "dict": dict}


@dataclass(frozen=True)
class Notebook:
    """A notebook as it was read once: what is hashed is what is executed."""

    path: Path
    text: str
    cells: tuple[str, ...]  # sources of all cells, in order
    python: str  # the statements of the code cells
    parameters: Mapping[str, tuple[Any, Any]]  # types and defaults by name
    metadata: Mapping[str, Any]  # what it says about itself under "rurk"


def folder() -> Path:
    """Where the notebooks are: beside the package in a checkout, inside it if installed."""
    for place in (store.PACKAGE.parent / "notebooks", store.PACKAGE / "notebooks"):
        if any(place.glob("*.ipynb")):
            return place
    raise InputError("the notebooks are missing beside the package: install rurklib again")


def read(path: Path) -> Notebook:
    """Read a notebook. Raises InputError if it is none, if it has no cell tagged ``parameters``, or
    if a cell isn't plain Python."""
    import nbformat

    try:
        text = path.read_text(encoding="utf-8")
        book = nbformat.reads(text, as_version=4)
        code = [cell for cell in book.cells if cell.cell_type == "code"]
        tagged = [cell for cell in code if "parameters" in cell.metadata.get("tags", [])]
        trees = [ast.parse(cell.source) for cell in code]
        parameters = _parameters("\n".join(cell.source for cell in tagged))
    except (OSError, ValueError, AttributeError, SyntaxError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} is not a readable notebook ({reason})") from None
    if not parameters:
        raise InputError(f"{path}: expected a cell tagged 'parameters', with a value of each")
    cells, python = tuple(cell.source for cell in book.cells), "\n".join(map(ast.unparse, trees))
    return Notebook(path, text, cells, python, parameters, book.metadata.get("rurk", {}))


def _parameters(source: str) -> dict[str, tuple[Any, Any]]:
    """The type and the default of each line ``NAME: TYPE = VALUE`` or ``NAME = VALUE``. None is
    allowed too where it is the default. Types that aren't among ``KINDS`` are Any.

    papermill.inspect_notebook overlooks lines with ``float | None`` or ``=`` in a comment.
    """
    found = {}
    for line in ast.parse(source).body:
        match line:
            case ast.AnnAssign(ast.Name(name), annotation, ast.expr() as value):
                words = ast.unparse(annotation)
            case ast.Assign([ast.Name(name)], value):
                words = ""
            case _:
                continue
        default = ast.literal_eval(value)
        words, optional, _ = (words or type(default).__name__).partition(" | None")
        kind: Any = KINDS.get(words, Any)
        found[name] = (kind | None if optional or default is None else kind), default
    return {name: found[name] for name in found if not name.startswith("_")}


def check_names(book: Notebook, names: Iterable[str]) -> None:
    """Refuse a name that the parameters cell doesn't have: papermill only warns, and the value
    would silently never reach the notebook."""
    for name in names:
        one_of(f"parameter of {book.path.name}", name, book.parameters)


def execute(book: Notebook, target: Path, parameters: Mapping[str, Any]) -> None:
    """Execute a notebook in a kernel of its own, in the notebook's folder, and write to ``target``
    what it became.

    Raises papermill.PapermillExecutionError if a cell raises (``target`` then shows where), and
    nbclient's DeadKernelError if the kernel is killed. The kernel ends with this process: it looks
    every second whether its parent is still there. Several threads may do this at once.
    """
    import nbformat
    import papermill
    from traitlets.config import Config

    target.write_text(book.text, encoding="utf-8")
    loads = "from rurklib.study import extend; extend.load(extend.inherited()); del extend"
    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # silent at Ctrl-C, as the kernel is
    more = [f"--IPKernelApp.exec_lines={loads}"] if extend.LOADED else []
    with tempfile.TemporaryDirectory() as sockets:
        # Sockets in a private folder, where the system has such: TCP ports are open to everyone on
        # the machine, and kernels that start at once may ask for the same one.
        private = {"transport": "ipc", "ip": f"{sockets}/kernel"} if os.name == "posix" else {}
        executed = papermill.execute_notebook(
            str(target),
            str(target),
            parameters=dict(parameters),
            kernel_name="python3",
            language="python",
            # The kernel's folder; papermill's cwd= would change that of the whole process.
            resources={"metadata": {"path": str(book.path.parent)}},
            progress_bar=False,
            config=Config(KernelManager=private),
            extra_arguments=["--IPKernelApp.log_level=CRITICAL", *more],
        )
    for name in ("input_path", "output_path", "environment_variables"):
        executed.metadata.papermill.pop(name, None)  # they belong to this machine
    nbformat.write(executed, target)


# --- a study's notebooks -------------------------------------------------------------------------


class NotebookFailed(RuntimeError):
    """A notebook raised; the message names the notebook, the cell and the error."""


def books_of(command: str, scenario: str) -> list[Notebook]:
    """The notebooks that ``rurk study`` executes for a scenario, in order."""
    books = map(read, sorted(folder().glob("*.ipynb")))
    mine = [book for book in books if book.metadata.get("command") == command]
    return [book for book in mine if scenario in book.metadata.get("scenarios", [scenario])]


def run_notebooks(run: Run, parameters: Mapping[str, Any]) -> list[str]:
    """Execute the notebooks of a study in order into ``run.folder/notebooks``.

    Each is given all ``parameters``, or ``out`` alone if it has no ``scenario``, and so isn't about
    the run. Returns the names of those that were executed; the others were finished already. Raises
    InputError for a parameter that a notebook doesn't have, before anything runs, and
    NotebookFailed if one raises; what was finished before stays finished.
    """
    given = []
    for book in books_of("study", run.scenario.name):
        about_the_run = "scenario" in book.parameters
        values = {k: v for k, v in parameters.items() if about_the_run or k == "out"}
        if "live" in book.parameters:
            values["live"] = False  # nobody is there to move sliders
        check_names(book, values)
        given.append((book, values))
    executed = []
    with progress(len(given), "notebooks executed") as done:
        for number, (book, values) in enumerate(given, start=1):
            name, target = book.path.stem, run.folder / "notebooks" / book.path.name
            inputs = {"cells": book.cells, "run": run.described, "plugins": list(run.plugins)}
            inputs |= {"given": {k: v for k, v in values.items() if k not in NO_MATTER}}
            key = store.key("notebook", inputs)
            if _has_outputs(run, name) and store.find(target, key) is not None:
                say(f"[{number}/{len(given)}] {name} finished already, skipped")
            else:
                say(f"[{number}/{len(given)}] {name} ...")
                began = time.time_ns()
                store.save(target, _execute(run, book, values), key)
                _write_outputs(run, name, began)
                executed.append(name)
            done(name)
    return executed


def _has_outputs(run: Run, name: str) -> bool:
    """Whether all that a notebook wrote is there; a line says what is missing or was changed."""
    outputs = store.find(run.folder / OUTPUTS, "outputs") or {}
    paths = {run.folder / file: sha256 for file, sha256 in outputs.get(name, {}).items()}
    damaged = [path for path in paths if not path.exists() or _sha256(path) != paths[path]]
    for path in damaged:
        say(f"{path} is missing or was changed: {name} is executed again")
    return name in outputs and not damaged


def _write_outputs(run: Run, name: str, began: int) -> None:
    """Note the files that a notebook wrote since ``began`` (ns), which are no earlier one's now."""
    paths = [p for p in run.folder.rglob("[!.]*") if p.is_file() and p.name not in NO_OUTPUTS]
    new = [p for p in paths if p.stat().st_mtime_ns >= began and p.parent.name != "notebooks"]
    made = {path.relative_to(run.folder).as_posix(): _sha256(path) for path in new}
    earlier = (store.find(run.folder / OUTPUTS, "outputs") or {}).items()
    kept = {book: {f: c for f, c in files.items() if f not in made} for book, files in earlier}
    store.save(run.folder / OUTPUTS, {**kept, name: made}, "outputs")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _execute(run: Run, book: Notebook, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The executed notebook's JSON."""
    import papermill

    for stale in (run.folder / "figures").glob(f"{book.path.stem[:2]}_*"):
        stale.unlink()
    failed = run.folder / "notebooks" / f"{book.path.stem}.failed.ipynb"
    with tempfile.TemporaryDirectory() as place:
        target = Path(place) / book.path.name
        try:
            execute(book, target, parameters)
        except papermill.PapermillExecutionError as error:
            store.write(failed, target.read_bytes())
            what = f"{book.path.name}, cell {error.exec_count}: {error.ename}: {error.evalue}"
            raise NotebookFailed(f"{what} (see {failed})") from error
        failed.unlink(missing_ok=True)
        return store.read_json(target)
