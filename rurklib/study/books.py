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
from collections.abc import Iterable, Mapping, Sequence
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
class Parameter:
    """A line of the parameters cell: its default if that is a literal, and its types if known."""

    name: str
    kinds: tuple[type, ...]  # none: not said
    default: Any = None
    literal: bool = False


@dataclass(frozen=True)
class Notebook:
    """A notebook as it was read once: what is hashed is what is executed."""

    path: Path
    text: str
    cells: tuple[str, ...]  # sources of all cells, in order
    python: str  # the statements of the code cells
    parameters: Mapping[str, Parameter]
    metadata: Mapping[str, Any]  # what it says about itself under "rurk"


def folder() -> Path:
    """Where the notebooks are: beside the package in a checkout, inside it if installed."""
    for place in (store.PACKAGE.parent / "notebooks", store.PACKAGE / "notebooks"):
        if any(place.glob("*.ipynb")):
            return place
    raise InputError("the notebooks are missing beside the package: install rurklib again")


def read(path: Path) -> Notebook:
    """Read a notebook. Raises InputError if it is none or has no cell tagged ``parameters``."""
    import nbformat

    try:
        text = path.read_text(encoding="utf-8")
        book = nbformat.reads(text, as_version=4)
    except (OSError, ValueError, AttributeError, nbformat.validator.ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path} is not a readable notebook ({reason})") from None
    code = [c for c in book.cells if c.cell_type == "code"]
    tagged = [c for c in code if "parameters" in c.metadata.get("tags", [])]
    if len(tagged) != 1:
        raise InputError(
            f"{path} has {len(tagged)} cells tagged 'parameters': expected one, to be given values"
        )
    try:
        first, *rest = (
            _parsed(c.source) for c in [tagged[0], *(c for c in code if c is not tagged[0])]
        )
    except SyntaxError as error:
        raise InputError(f"{path}: a code cell isn't plain Python ({error})") from None
    return Notebook(
        path,
        text,
        cells=tuple(c.source for c in book.cells),
        python="\n".join(map(ast.unparse, [first, *rest])),
        parameters={p.name: p for p in map(_parameter, first.body) if p},
        metadata=book.metadata.get("rurk", {}),
    )


def _parsed(source: str) -> ast.Module:
    """The syntax tree of a cell, also with lines such as %magic that only IPython reads."""
    try:
        return ast.parse(source)
    except SyntaxError:
        from IPython.core.inputtransformer2 import TransformerManager

        return ast.parse(TransformerManager().transform_cell(source))


def _parameter(statement: ast.stmt) -> Parameter | None:
    """The parameter that a statement of the parameters cell gives a default, if it gives one.

    papermill.inspect_notebook finds the same by regular expressions, but not if there is an equals
    sign in the comment, nor the type ``float | None``.
    """
    match statement:
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            kinds = _kinds(statement.annotation)
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            kinds = ()
        case _:
            return None
    try:
        default = ast.literal_eval(value)
    except ValueError:
        return Parameter(name, kinds)
    if kinds and default is None:
        kinds += (type(None),)
    if not kinds and type(default) in KINDS.values():
        kinds = (type(default),)
    return Parameter(name, kinds, default, literal=True)


def _kinds(annotation: ast.expr) -> tuple[type, ...]:
    """The types that an annotation such as ``int``, ``list[float]`` or ``float | None`` names."""
    match annotation:
        case ast.BinOp(left=left, right=right):
            return _kinds(left) + _kinds(right)
        case ast.Subscript(value=ast.Name(id=name)) | ast.Name(id=name) if name in KINDS:
            return (KINDS[name],)
        case ast.Constant(value=None):
            return (type(None),)
    return ()


def check_names(book: Notebook, names: Iterable[str]) -> None:
    """Refuse a name that the parameters cell doesn't have: papermill only warns, and the value
    would silently never reach the notebook."""
    for name in names:
        one_of(f"parameter of {book.path.name}", name, book.parameters)


def execute(book: Notebook, target: Path, parameters: Mapping[str, Any]) -> Any:
    """Execute a notebook in a kernel of its own, in the notebook's folder; what it became is
    written to ``target`` and returned.

    Raises papermill.PapermillExecutionError if a cell raises (``target`` then shows where), and
    nbclient's DeadKernelError if the kernel is killed. The kernel ends with this process: it looks
    every second whether its parent is still there. Several threads may do this at once.
    """
    import nbformat
    import papermill
    from traitlets.config import Config

    target.write_text(book.text, encoding="utf-8")
    more = ["--IPKernelApp.log_level=CRITICAL"]  # at Ctrl-C neither it nor papermill has a say
    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    loads = "from rurklib.study import extend; extend.load(extend.inherited()); del extend"
    more += [f"--IPKernelApp.exec_lines={loads}"] if extend.LOADED else []
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
            extra_arguments=more,
        )
    for name in ("input_path", "output_path", "environment_variables"):
        executed.metadata.papermill.pop(name, None)  # they belong to this machine
    nbformat.write(executed, target)
    return executed


# --- a study's notebooks -------------------------------------------------------------------------


class NotebookFailed(RuntimeError):
    """A notebook raised; the message names the notebook, the cell and the error."""


def books_of(command: str, scenario: str) -> list[Notebook]:
    """The notebooks that ``rurk study`` executes for a scenario, in order."""
    books = map(read, sorted(folder().glob("*.ipynb")))
    mine = [book for book in books if book.metadata.get("command") == command]
    return [book for book in mine if scenario in book.metadata.get("scenarios", [scenario])]


def run_notebooks(
    run: Run,
    parameters: Mapping[str, Any],
    books: Sequence[Path] | None = None,
) -> list[str]:
    """Execute the notebooks of a study (or ``books``) in order into ``run.folder/notebooks``.

    Each is given all ``parameters``, or ``out`` alone if it has no ``scenario``, and so isn't about
    the run. Returns the names of those that were executed; the others were finished already. Raises
    InputError for a parameter that a notebook doesn't have, before anything runs, and
    NotebookFailed if one raises; what was finished before stays finished.
    """
    named = books_of("study", run.scenario.name) if books is None else map(read, books)
    given = []
    for book in named:
        about_the_run = "scenario" in book.parameters
        values = {k: v for k, v in parameters.items() if about_the_run or k == "out"}
        if "live" in book.parameters:
            values["live"] = False  # nobody is there to move sliders
        given.append((book, values))
    for book, values in given:
        check_names(book, values)
    executed, total = [], len(given)
    with progress(total, "notebooks executed") as done:
        for number, (book, values) in enumerate(given, start=1):
            if _is_done(run, book, values):
                say(f"[{number}/{total}] {book.path.stem} finished already, skipped")
                done(None)
                continue
            say(f"[{number}/{total}] {book.path.stem} ...")
            began = time.time_ns()
            result = _execute(run, book, values)
            write_outputs(run, book.path.stem, began)
            store.save(_target(run, book), result, _key(run, book, values))
            executed.append(book.path.stem)
            done(result)
    return executed


def _target(run: Run, book: Notebook) -> Path:
    return run.folder / "notebooks" / book.path.name


def _key(run: Run, book: Notebook, values: Mapping[str, Any]) -> str:
    inputs = {"cells": book.cells, "run": run.described, "plugins": list(run.plugins)}
    given = {k: v for k, v in values.items() if k not in NO_MATTER}
    return store.key("notebook", {**inputs, "given": given})


def _is_done(run: Run, book: Notebook, values: Mapping[str, Any]) -> bool:
    """Whether a notebook and all that it wrote are there; a line says what was damaged."""
    outputs = read_outputs(run).get(book.path.stem)
    damaged = damaged_outputs(run, outputs or {})
    for name in damaged:
        say(f"{name} is missing or was changed: {book.path.stem} is executed again")
    there = outputs is not None and not damaged
    return there and store.find(_target(run, book), _key(run, book, values)) is not None


def read_outputs(run: Run) -> dict[str, dict[str, str]]:
    """The SHA-256 of every file that a run's notebooks wrote, by notebook and file."""
    return store.find(run.folder / OUTPUTS, "outputs") or {}


def write_outputs(run: Run, stem: str, began: int) -> None:
    """Note the files that a notebook wrote since ``began`` (ns), which are no earlier one's now."""
    paths = [p for p in run.folder.rglob("[!.]*") if p.is_file() and p.name not in NO_OUTPUTS]
    new = [p for p in paths if p.stat().st_mtime_ns >= began and p.parent.name != "notebooks"]
    made = {path.relative_to(run.folder).as_posix(): _sha256(path) for path in new}
    earlier = read_outputs(run).items()
    kept = {book: {f: c for f, c in files.items() if f not in made} for book, files in earlier}
    store.save(run.folder / OUTPUTS, {**kept, stem: made}, "outputs")


def damaged_outputs(run: Run, made: Mapping[str, str]) -> list[str]:
    """Which of these files are missing, or aren't as they were written."""
    paths = {name: run.folder / name for name in made}
    return [n for n, path in paths.items() if not path.exists() or _sha256(path) != made[n]]


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
            result = store.read_json(target)
        except papermill.PapermillExecutionError as error:
            store.write(failed, target.read_bytes())
            raise NotebookFailed(
                f"{book.path.name}, cell {error.exec_count}: {error.ename}: {error.evalue} "
                f"(see {failed})"
            ) from error
    failed.unlink(missing_ok=True)
    return result
