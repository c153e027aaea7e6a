"""What a function depends on: the statements of its module and of all of ours that this imports.

Imports are followed in the sources, at any depth, those inside functions too; what is taken from a
package is followed to the module that defines it. Comments, layout, docstrings and the words inside
``raise`` don't count: a better explanation makes nobody train again, a changed condition does.
"""

import ast
import hashlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from rurklib.checks import InputError

PACKAGE = "rurklib"
REGISTRIES = {"rurklib.unlearn.contract", "rurklib.metrics.registry"}
FOLDER = Path(__file__).parents[1]  # of the package
BROUGHT: dict[str, str] = {}  # texts of the user's files (rurklib.study.brought), by module


def notebooks_folder() -> Path:
    """Where the notebooks are: beside the package in a checkout, inside it if installed."""
    for place in (FOLDER.parent / "notebooks", FOLDER / "notebooks"):
        if any(place.glob("*.ipynb")):
            return place
    raise InputError("the notebooks are missing beside the package: install rurklib again")


def source_of(maker: Callable[..., Any]) -> str:
    """Hash of the statements that ``maker`` depends on, 16 hex digits.

    For a function of this package: its module, and every module of ours that this imports, at any
    depth. A name that is imported from a package is followed to the module that defines it. For a
    function of somebody's own: its source, and what it uses of ours likewise.
    """
    maker = inspect.unwrap(maker)
    home = maker.__module__
    if home.split(".")[0] == PACKAGE or home in BROUGHT:
        return _hash(_reached({home}))
    used = {
        module
        for name in getattr(maker, "__code__", _NO_CODE).co_names
        if (module := _home(getattr(maker, "__globals__", {}).get(name)))
    }
    return _hash(_reached(used), own_source(maker))


def source_of_brought(module: str) -> str:
    """The same for a file of the user's that was loaded as ``module``, whole."""
    return _hash(_reached({module}))


def source_of_text(source: str, without: tuple[str, ...] = (), brought: Iterable[str] = ()) -> str:
    """The same for the code of a notebook or a script: what it imports of ours, at any depth, but
    for modules whose names begin with one of ``without``, and what only these import; and for the
    user's files that its kernel loads, as they are on disk, without being loaded here.

    Methods and metrics are found by their registries, not imported: if a registry is reached, every
    module beside it counts, and with the scenarios their files.
    """
    own = [_bare(Path(path).read_text("utf-8")) for path in brought]
    named = {name for tree in (ast.parse(source), *own) for name in _imports(tree)}
    reached = _reached(named, without)
    folders = [FOLDER.joinpath(*name.split(".")[1:-1]) for name in REGISTRIES & reached]
    beside = [path.relative_to(FOLDER) for folder in folders for path in folder.glob("*.py")]
    names = {".".join([PACKAGE, *path.with_suffix("").parts]) for path in beside}
    has_scenarios = f"{PACKAGE}.study.scenario" in reached
    settings = sorted(FOLDER.glob("study/scenarios/*.yaml")) if has_scenarios else []
    texts = [p.read_text("utf-8") for p in settings] + [_said(tree) for tree in own]
    return _hash(_reached(reached | names, without), *texts)


def read_again() -> None:
    """Forget the modules' sources: they may have changed since this process read them."""
    for remembered in (_tree, _imported_by, _statements):
        remembered.cache_clear()


_NO_CODE = (lambda: None).__code__


def _hash(modules: set[str], *more: str) -> str:
    parts = [f"{name}:{_statements(name)}" for name in sorted(modules)]
    return hashlib.sha256("\n".join([*parts, *more]).encode()).hexdigest()[:16]


@cache
def own_source(thing: Any) -> str:
    """A function's or class's own code: its text, else its bytecode and constants, else its name
    (made interactively, or built in); of a file of the user's all of it."""
    if getattr(thing, "__module__", None) in BROUGHT:
        return source_of_brought(thing.__module__)
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
    return hashlib.sha256(_said(_tree(module)).encode()).hexdigest()


def _said(node: Any) -> str:
    """A syntax tree as text. Of ``ast.dump`` each Python has its own: of what is empty, later ones
    say less; here nothing is said of it, so that keys are the same under all of them."""
    if isinstance(node, list):
        return f"[{','.join(map(_said, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    said = [f"{name}={_said(v)}" for name, v in ast.iter_fields(node) if v not in (None, [])]
    return f"{type(node).__name__}({','.join(said)})"


@cache
def _tree(module: str) -> ast.Module:
    """A module's statements."""
    return _bare(read_source(module))


def _bare(text: str) -> ast.Module:
    """The statements of a text, without docstrings and the words of errors."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_text(body[0]):
            body.pop(0)
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            node.exc.args, node.exc.keywords = [], []
    return tree


def read_source(module: str) -> str:
    """The text of a module of ours, which isn't imported for it: that may take seconds; of a file
    of the user's what was executed, whatever became of it since."""
    if module in BROUGHT:
        return BROUGHT[module]
    path = FOLDER.joinpath(*module.split(".")[1:])
    file = path / "__init__.py" if _is_package(module) else path.with_suffix(".py")
    file = file.with_suffix(".pyi") if module == PACKAGE else file  # its names, loaded lazily
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
    for node in ast.walk(tree) if faces else ():
        if isinstance(node, ast.Attribute):
            first, *names = ast.unparse(node).split(".")  # a.b.c, or what begins otherwise
            home = faces.get(first, "")
            while home and names and _is_package(home):
                home = _defined_in(home, names.pop(0))
            if home and not _is_package(home):
                yield home


def _defined_in(module: str, name: str) -> str:
    """The module that defines what ``module`` knows as ``name``."""
    if not _is_package(module):
        return module
    for node in _tree(module).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                at = f"{PACKAGE}.{node.module}" if node.level else node.module
                if (alias.asname or alias.name) == name and at != module:
                    return _defined_in(at, alias.name)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict):  # handed on lazily
            for entry, home in zip(node.value.keys, node.value.values, strict=True):
                if isinstance(entry, ast.Constant) and entry.value == name:
                    assert isinstance(home, ast.Constant)
                    return str(home.value)
    inner = FOLDER.joinpath(*f"{module}.{name}".split(".")[1:])
    is_inner = (inner / "__init__.py").is_file() or inner.with_suffix(".py").is_file()
    return f"{module}.{name}" if is_inner else f"{module}.__init__"


def _is_package(module: str) -> bool:
    return FOLDER.joinpath(*module.split(".")[1:], "__init__.py").is_file()
