"""What papermill is asked to do, here: read a notebook's parameters, refuse others, execute it."""

from __future__ import annotations

import ast
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rurklib.checks import InputError, one_of

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
    code: tuple[str, ...]  # sources of the code cells, in order
    parameters: Mapping[str, Parameter]
    copied: frozenset[str] = field(default=frozenset())  # read inside the parameters cell
    used: frozenset[str] | None = None  # read in the other code cells; None: can't be told


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
    tree = _parsed(tagged[0].source)
    if tree is None:
        raise InputError(f"{path}: its parameters cell isn't plain Python")
    rest = [_parsed(c.source) for c in code if c is not tagged[0]]
    used: set[str] = set().union(*(_loaded(t) for t in rest if t is not None))
    opaque = None in rest or bool(used & {"globals", "locals", "vars", "eval", "exec"})
    return Notebook(
        path,
        text,
        tuple(c.source for c in code),
        {p.name: p for p in map(_parameter, tree.body) if p},
        frozenset(_loaded(ast.Module([_value(s) for s in tree.body if _value(s)], []))),
        None if opaque else frozenset(used),
    )


def _parsed(source: str) -> ast.Module | None:
    """The syntax tree, or None if there are lines such as %magic that only IPython reads."""
    try:
        return ast.parse(source)
    except SyntaxError:
        return None


def _loaded(tree: ast.AST) -> set[str]:
    names = (n for n in ast.walk(tree) if isinstance(n, ast.Name))
    return {n.id for n in names if not isinstance(n.ctx, ast.Store)}


def _value(statement: ast.stmt) -> Any:
    """The right-hand side alone: a type is read too, but is no use of a parameter."""
    if isinstance(statement, (ast.Assign, ast.AnnAssign)):
        return statement.value and ast.Expr(statement.value)
    return statement


def _parameter(statement: ast.stmt) -> Parameter | None:
    target: ast.expr
    if isinstance(statement, ast.AnnAssign):
        target, kinds = statement.target, _kinds(statement.annotation)
    elif isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target, kinds = statement.targets[0], ()
    else:
        return None
    if not isinstance(target, ast.Name) or statement.value is None:
        return None
    try:
        default = ast.literal_eval(statement.value)
    except ValueError:
        return Parameter(target.id, kinds)
    if not kinds and type(default) in KINDS.values():
        kinds = (type(default),)
    return Parameter(target.id, kinds, default, literal=True)


def _kinds(annotation: ast.expr | None) -> tuple[type, ...]:
    """The types that an annotation such as ``int``, ``list[float]`` or ``float | None`` names."""
    if isinstance(annotation, ast.BinOp):
        return _kinds(annotation.left) + _kinds(annotation.right)
    if isinstance(annotation, ast.Subscript):
        return _kinds(annotation.value)
    if isinstance(annotation, ast.Constant) and annotation.value is None:
        return (type(None),)
    if isinstance(annotation, ast.Name) and annotation.id in KINDS:
        return (KINDS[annotation.id],)
    return ()


def check_names(book: Notebook, names: Any) -> None:
    """Refuse a name that the parameters cell doesn't have: papermill only warns, and the value
    would silently never reach the notebook."""
    for name in names:
        one_of(f"parameter of {book.path.name}", name, book.parameters)


def execute(source: Path, target: Path, parameters: Mapping[str, Any], cwd: Path) -> None:
    """Execute a notebook in a kernel of its own; ``target`` may be ``source``.

    Raises papermill.PapermillExecutionError if a cell raises (``target`` then shows where), and
    nbclient's DeadKernelError if the kernel is killed. The kernel ends with this process: it looks
    every second whether its parent is still there.
    """
    import papermill

    with tempfile.TemporaryDirectory() as sockets:
        papermill.execute_notebook(
            _unformatted(source),
            _unformatted(target),
            parameters=dict(parameters),
            kernel_name="python3",
            language="python",
            cwd=str(cwd),
            progress_bar=False,
            config=_kernel_config(sockets),
        )


def forget_paths(metadata: Any) -> None:
    """Take what belongs to this machine out of an executed notebook's metadata."""
    for name in ("input_path", "output_path", "environment_variables"):
        metadata.get("papermill", {}).pop(name, None)


def _unformatted(path: Path) -> str:
    """papermill takes braces in a path for fields to fill in."""
    return str(path).replace("{", "{{").replace("}", "}}")


def _kernel_config(sockets: str) -> Any:
    """Talk to the kernel through sockets in a private folder where the system has such: TCP ports
    are open to everyone on the machine, and kernels that start at once may ask for the same one."""
    from traitlets.config import Config

    if os.name != "posix":
        return Config()
    return Config(KernelManager={"transport": "ipc", "ip": f"{sockets}/kernel"})
