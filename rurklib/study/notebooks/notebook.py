"""What papermill is asked to do, here: read a notebook's parameters, refuse others, execute it."""

import ast
import logging
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rurklib.checks import InputError, one_of
from rurklib.study import brought, files

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
    copied: frozenset[str]  # read inside the parameters cell
    used: frozenset[str] | None  # read in the other code cells; None: can't be told
    brought: tuple[str, ...]  # files of the user's that its kernel loads first


def read(path: Path) -> Notebook:
    """Read a notebook. Raises InputError if it is none or has no cell tagged ``parameters``."""
    nbformat = files.nbformat()
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
    used = _names_read(*rest)
    opaque = used & {"globals", "locals", "vars", "eval", "exec", "get_ipython"}
    # A type is read too, but is no use of a parameter: the right-hand sides alone.
    values = (s.value if isinstance(s, (ast.Assign, ast.AnnAssign)) else s for s in first.body)
    return Notebook(
        path,
        text,
        cells=tuple(c.source for c in book.cells),
        python="\n".join(map(ast.unparse, [first, *rest])),
        parameters={p.name: p for p in map(_parameter, first.body) if p},
        metadata=book.metadata.get("rurk", {}),
        copied=_names_read(*(value for value in values if value)),
        used=None if opaque else used,
        brought=tuple(brought.LOADED),
    )


def _parsed(source: str) -> ast.Module:
    """The syntax tree of a cell, also with lines such as %magic that only IPython reads."""
    try:
        return ast.parse(source)
    except SyntaxError:
        from IPython.core.inputtransformer2 import TransformerManager

        return ast.parse(TransformerManager().transform_cell(source))


def _names_read(*trees: ast.AST) -> frozenset[str]:
    nodes = (n for tree in trees for n in ast.walk(tree) if isinstance(n, ast.Name))
    return frozenset(n.id for n in nodes if not isinstance(n.ctx, ast.Store))


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
    nbformat = files.nbformat()  # before papermill, which imports it
    import papermill
    from traitlets.config import Config

    target.write_text(book.text, encoding="utf-8")
    path = str(target).replace("{", "{{").replace("}", "}}")  # no fields for papermill to fill
    loads = f"__import__('rurklib.study.brought', fromlist='_').give({list(book.brought)})"
    more = ["--IPKernelApp.log_level=CRITICAL"]  # at Ctrl-C neither it nor papermill has a say
    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    more += [f"--IPKernelApp.exec_lines={loads}"] if book.brought else []
    with tempfile.TemporaryDirectory() as sockets:
        # Sockets in a private folder, where the system has such: TCP ports are open to everyone on
        # the machine, and kernels that start at once may ask for the same one.
        private = {"transport": "ipc", "ip": f"{sockets}/kernel"} if os.name == "posix" else {}
        executed = papermill.execute_notebook(
            path,
            path,
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
