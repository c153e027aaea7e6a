"""What a cell's result depends on, as one hash: its key, and the name of its folder.

In it are the sources of all cells of the notebook, every parameter but those that can't change a
row, the number of threads (sums are taken in another order with another number), and the code that
matters: the modules of this package that the notebook imports, those that they import, and so on,
without comments and docstrings. The modules that only draw are left out, so that a nicer plot makes
nobody compute again; the figures of a cell that is kept are those of its day.

Not in it: files that the notebook reads, other packages' versions, and modules that are imported by
a computed name.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from rurklib.study import memo
from rurklib.study.sweep.grid import NO_MATTER

DRAWING = ("study/figures", "study/report", "study/panels")


EVERYTHING = (".",)


def key(code_cells: Sequence[str], parameters: Mapping[str, Any], code: str, threads: int) -> str:
    """The hash of a cell, 16 hex digits. ``code`` is ``store.code`` of
    what :func:`code_that_matters` names."""
    return memo.fingerprint(
        cells=list(code_cells),
        parameters={k: v for k, v in parameters.items() if k not in NO_MATTER},
        code=code,
        threads=threads,
    )


def code_that_matters(code_cells: Sequence[str]) -> tuple[str, ...]:
    """The package's files that a notebook's code cells reach, as ``store.code`` takes them: none if
    it doesn't import the package, all if a cell can't be read (a line with %magic)."""
    found: set[str] = set()
    waiting: list[str] = []
    for source in code_cells:
        names = _imported(source)
        if names is None:
            return EVERYTHING
        waiting += names
    while waiting:
        name = waiting.pop()
        part = _file(name)
        if part is None or part in found or part.startswith(DRAWING):
            continue
        found.add(part)
        more = _imported((memo.FOLDER / part).with_suffix(".py").read_text(encoding="utf-8"))
        if more is None:
            return EVERYTHING
        waiting += more
    return tuple(sorted(found))


def _imported(source: str) -> list[str] | None:
    """Dotted names in this package that the source may import; None if that can't be told."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return None
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                return None
            names += [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [n for name in names if _ours(name) for n in _with_parents(name)]


def _ours(name: str) -> bool:
    return name.split(".")[0] == memo.FOLDER.name


def _with_parents(name: str) -> list[str]:
    """Importing a.b.c runs a and a.b first."""
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(1, len(parts) + 1)]


def _file(name: str) -> str | None:
    """A module's file below the package, without .py; None for what is no module (a function)."""
    path = memo.FOLDER.joinpath(*name.split(".")[1:])
    if path.is_dir():
        path /= "__init__"
    exists = path.with_suffix(".py").exists()
    return path.relative_to(memo.FOLDER).as_posix() if exists else None
