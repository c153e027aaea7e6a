"""One memo for everything that is made once and kept: it is there under its key, or it is made.

    wanted = key(fit, {"data": split.digest, "part": "retain", "recipe": recipe, "seed": 3})
    weights, record = memo(path, make, wanted, WEIGHTS)

The *key* is derived, never listed by hand. It is a hash of

- the ``inputs``: plain data, dataclasses by field, tensors and models by their content;
- the statements of the module that defines the maker, and of every module of ours that this one
  imports, at any depth. Comments, layout, docstrings and the words inside ``raise`` don't count: a
  better explanation makes nobody train again;
- PyTorch's version and the kind of device.

An artefact carries its key inside itself. So presence means done: a file is there whole under the
right key, or it is made and moved into place last. There is no second record that could disagree.
Since inputs count by content, a file that was deleted and made again makes nothing behind it again.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from rurklib.study import files

T = TypeVar("T")
Weights = tuple[Mapping[str, Tensor], Mapping[str, Any]]  # a state dict and a record of facts
PACKAGE = "rurklib"
FOLDER = Path(__file__).parents[1]  # of the package


@dataclass(frozen=True)
class Codec(Generic[T]):
    """How a value is kept: ``save(path, value, key)`` and ``load(path) -> (value, key)``."""

    save: Callable[[Path, T, str], None]
    load: Callable[[Path], tuple[T, str]]


def memo(path: Path, make: Callable[[], T], key: str, codec: Codec[T]) -> T:
    """What ``path`` holds under ``key``; made and written there if it isn't there.

    Raises InputError for a file that is damaged or not of this study.
    """
    if path.exists():
        value, found = codec.load(path)
        if found == key:
            return value
    codec.save(path, make(), key)
    return codec.load(path)[0]


def fresh(path: Path, key: str, codec: Codec[Any]) -> bool:
    """Whether ``path`` is there, whole, and bears this key. Raises InputError if it is damaged."""
    return path.exists() and codec.load(path)[1] == key


def key(
    makers: Callable[..., Any] | Sequence[Callable[..., Any]], inputs: Mapping[str, Any]
) -> str:
    """The key of what ``makers`` make of ``inputs``, 16 hex digits.

    ``makers`` are the functions that do the work, not those that hand it on; see
    :func:`source_of`. Raises TypeError for an input that has no content to be known by.
    """
    group = makers if isinstance(makers, Sequence) else [makers]
    return digest(
        {
            "inputs": inputs,
            "source": sorted(source_of(maker) for maker in group),
            "torch": torch.__version__,
            "device": "cuda" if torch.cuda.is_available() else "cpu",
        }
    )


# --- until every cache has come over --------------------------------------------------------------


def fingerprint(**parts: Any) -> str:
    """Hash of plain data (numbers, strings, lists, dicts), 16 hex digits."""
    text = json.dumps(parts, sort_keys=True, default=_words)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _words(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"can't fingerprint a {type(value).__name__}")


@cache
def code(*parts: str) -> str:
    """Hash of the statements in the package's files or folders, e.g. ``code("train", "models")``.

    Comments, layout and docstrings don't count, so that explaining code better doesn't make
    anyone train again.
    """
    sha = hashlib.sha256()
    for part in parts:
        path = FOLDER / part
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path.with_suffix(".py")]:
            tree = ast.parse(file.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                body = getattr(node, "body", None)
                if isinstance(body, list) and body and _is_text(body[0]):
                    body.pop(0)
            sha.update(ast.dump(tree).encode())
    return sha.hexdigest()[:16]


# --- inputs ---------------------------------------------------------------------------------------


def digest(value: Any) -> str:
    """SHA-256 of a value by its content, 16 hex digits."""
    return hashlib.sha256(json.dumps(_plain(value), sort_keys=True).encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """A value as JSON can say it: numbers and words as they are, tensors by a digest."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, nn.Module):
        layers = re.sub(r"0x[0-9a-f]+", "", repr(value))  # addresses differ between processes
        code = sorted({_own_source(type(m)) for m in value.modules()})
        return {"weights": files.weights_digest(value.state_dict()), "layers": layers, "code": code}
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(value)
    if isinstance(value, Tensor):
        return {"tensor": files.weights_digest({"": value})}
    if isinstance(known := getattr(value, "digest", None), str):
        return {"digest": known}
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    raise TypeError(f"{type(value).__name__} has no content that a key could be made of")


# --- source ---------------------------------------------------------------------------------------


def source_of(maker: Callable[..., Any]) -> str:
    """Hash of the statements that ``maker`` depends on, 16 hex digits.

    For a function of this package: its module, and every module of ours that this imports, at any
    depth. A name that is imported from a package is followed to the module that defines it. For a
    function of somebody's own: its source, and what it uses of ours likewise.
    """
    while isinstance(maker, partial):
        maker = maker.func
    maker = inspect.unwrap(maker)
    home = maker.__module__
    if home.split(".")[0] == PACKAGE:
        return _hash(_reached({home}))
    used = {
        module
        for name in getattr(maker, "__code__", _NO_CODE).co_names
        if (module := _home(getattr(maker, "__globals__", {}).get(name)))
    }
    return _hash(_reached(used), _own_source(maker))


def source_of_text(source: str, without: tuple[str, ...] = ()) -> str:
    """The same for the code of a notebook or a script: what it imports of ours, at any depth, but
    for modules whose names begin with one of ``without``, and what only these import."""
    return _hash(_reached(set(_imports(ast.parse(source))), without))


def read_again() -> None:
    """Forget the modules' sources: they may have changed since this process read them."""
    for remembered in (_tree, _imported_by, _statements):
        remembered.cache_clear()


_NO_CODE = (lambda: None).__code__


def _hash(modules: set[str], *more: str) -> str:
    parts = [f"{name}:{_statements(name)}" for name in sorted(modules)]
    return hashlib.sha256("\n".join([*parts, *more]).encode()).hexdigest()[:16]


def _own_source(thing: Any) -> str:
    """A function's or class's own code: its text, else its bytecode and constants, else its name
    (made interactively, or built in)."""
    try:
        return hashlib.sha256(inspect.getsource(thing).encode()).hexdigest()[:16]
    except (OSError, TypeError):
        code = getattr(thing, "__code__", None)
        if code is None:
            return f"{thing.__module__}.{thing.__qualname__}"
        return f"{code.co_code.hex()}{code.co_consts!r}"


def _home(thing: Any) -> str | None:
    """The module of ours that a thing is, or is defined in."""
    name = thing.__name__ if inspect.ismodule(thing) else getattr(thing, "__module__", None)
    return name if isinstance(name, str) and name.split(".")[0] == PACKAGE else None


def _reached(modules: set[str], without: tuple[str, ...] = ()) -> set[str]:
    """These modules and all of ours that they import, at any depth."""
    found: set[str] = set()
    waiting = set(modules)
    while waiting:
        name = waiting.pop()
        if not name.startswith(without):
            found.add(name)
            waiting |= _imported_by(name) - found
    return found


@cache
def _imported_by(module: str) -> frozenset[str]:
    return frozenset(_imports(_tree(module)))


@cache
def _statements(module: str) -> str:
    """A hash of a module's statements."""
    tree = ast.parse(ast.unparse(_tree(module)))  # a copy: the cached tree stays whole
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_text(body[0]):
            body.pop(0)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            node.exc.args, node.exc.keywords = [], []
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


@cache
def _tree(module: str) -> ast.Module:
    return ast.parse(read_source(module))


def read_source(module: str) -> str:
    """The text of a module of ours, which isn't imported for it: that may take seconds."""
    path = FOLDER.joinpath(*module.split(".")[1:])
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return file.read_text(encoding="utf-8")


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _imports(tree: ast.Module) -> Iterator[str]:
    """The modules of ours that a text imports anywhere, inside functions too; what it takes from a
    package is followed to where it is defined."""
    faces: dict[str, str] = {}  # names that stand for a package of ours, and which
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == PACKAGE:
                    whole = alias.name if alias.asname else PACKAGE
                    faces[alias.asname or PACKAGE] = whole
                    yield from [] if _is_package(alias.name) else [alias.name]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            for alias in node.names:
                home = _defined_in(node.module or "", alias.name)
                if _is_package(home):
                    faces[alias.asname or alias.name] = home
                else:
                    yield home
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            names = _chain(node)
            if names and names[0] in faces:
                home = faces[names[0]]
                for name in names[1:]:
                    home = _defined_in(home, name)
                    if not _is_package(home):
                        yield home
                        break


def _chain(node: ast.expr) -> list[str]:
    """``a.b.c`` as ["a", "b", "c"]; [] for what doesn't begin with a name."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute) and (before := _chain(node.value)):
        return [*before, node.attr]
    return []


def _defined_in(module: str, name: str) -> str:
    """The module that defines what ``module`` knows as ``name``."""
    if not _is_package(module):
        return module
    for node in _tree(module).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if (alias.asname or alias.name) == name and node.module != module:
                    return _defined_in(node.module, alias.name)
    thing = getattr(importlib.import_module(module), name, None)
    if thing is None or inspect.ismodule(thing):
        return f"{module}.{name}"
    return _home(thing) or module


def _is_package(module: str) -> bool:
    return FOLDER.joinpath(*module.split(".")[1:]).is_dir()
