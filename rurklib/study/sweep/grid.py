"""Which cells: named groups of parameters and their values, checked against the notebook."""

import ast
import functools
import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from rurklib.checks import InputError
from rurklib.study import memo, source
from rurklib.study.notebooks.notebook import NO_MATTER, Notebook, Parameter, check_names

Groups = dict[str, dict[str, list[Any]]]


NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", re.I)
DRAWING = ("rurklib.study.figures", "rurklib.study.report", "rurklib.study.panels")


@dataclass(frozen=True)
class Cell:
    """The values of all parameters whose value is known, and the groups that ask for them.

    ``key`` is the hash of all that its rows depend on, and the name of its folder.
    """

    key: str
    parameters: Mapping[str, Any]
    groups: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """A checked sweep. ``columns`` are the parameters that its groups name."""

    out: Path
    book: Notebook
    cells: tuple[Cell, ...]
    columns: tuple[str, ...]
    threads: int


def from_options(options: Sequence[str]) -> Groups:
    """One group from ``NAME=V1,V2`` each; values are Python literals or plain words."""
    group: dict[str, list[Any]] = {}
    for option in options:
        name, _, values = (part.strip() for part in option.partition("="))
        if not name or not values:
            raise InputError(f"--grid {option}: expected NAME=V1,V2,... such as tau=0,0.01,0.03")
        if name in group:
            raise InputError(f"--grid {name} is given twice: give all its values at once")
        whole = _literal(f"({values},)")
        words = [_literal(word.strip()) for word in values.split(",")]
        group[name] = list(whole) if isinstance(whole, tuple) else words
    return {"grid": group}


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def seeds(text: str) -> list[int]:
    """``0..4`` (both ends are in) or ``0,1,2``."""
    expected = f"--seeds {text}: expected different whole numbers, 0..4 or 0,1,2"
    try:
        first, dots, last = text.partition("..")
        values = (
            [int(s) for s in text.split(",")] if not dots else [*range(int(first), int(last) + 1)]
        )
    except ValueError:
        raise InputError(expected) from None
    if not values or min(values) < 0 or len(set(values)) != len(values):
        raise InputError(expected)
    return values


def with_seeds(groups: Groups, text: str) -> Groups:
    """The groups with these values of ``seed``, where a group doesn't give its own."""
    values = seeds(text)
    return {name: group | {"seed": group.get("seed", values)} for name, group in groups.items()}


class _Loader(yaml.SafeLoader):
    """Refuses a name that stands twice in a mapping: YAML would drop the first without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names = [key.value for key, _ in node.value]
        if twice := [name for name in names if names.count(name) > 1]:
            raise yaml.YAMLError(f"{twice[0]} stands twice in one mapping; keep one")
        return dict(super().construct_mapping(node, deep))


def from_file(path: Path) -> Groups:
    """Groups from YAML: ``NAME: {parameter: [values], ..., fixed: {parameter: value}}``.

    ``seed`` may be written as ``0..4``. Raises InputError, also for a name that stands twice.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is not readable as YAML ({reason})") from None
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path}: expected groups, NAME: {{parameter: [values]}}")
    return {str(name): _group(f"{path}, group {name}", body) for name, body in content.items()}


def _group(where: str, body: Any) -> dict[str, list[Any]]:
    fixed = body.get("fixed", {}) if isinstance(body, dict) else None
    if not isinstance(fixed, dict):
        raise InputError(
            f"{where}: expected parameter: [values] and fixed: {{parameter: value}}, got {body!r}"
        )
    group = {str(name): values for name, values in body.items() if name != "fixed"}
    if isinstance(group.get("seed"), str):
        group["seed"] = seeds(group["seed"])
    for name, values in group.items():
        if not isinstance(values, list):
            raise InputError(
                f"{where}: {name} = {values!r}: expected a list of values; one value goes to fixed:"
            )
        if name in fixed:
            raise InputError(f"{where}: {name} is both varied and fixed; keep one")
    return group | {str(name): [value] for name, value in fixed.items()}


def cells(book: Notebook, groups: Groups, threads: int = 1) -> tuple[Cell, ...]:
    """All combinations of each group, in order; a combination that comes again is one cell with
    several groups. A parameter that a group doesn't name has its default, said or not.

    Raises InputError for a name that the notebook doesn't have or doesn't use, for a value of
    another type, and for a notebook that can't be swept.
    """
    check_reach(book, itertools.chain(*groups.values()))
    known = {p.name: p.default for p in book.parameters.values() if p.literal and p.name != "out"}
    defaults = {name: value for name, value in known.items() if _plain(value)}
    found: dict[str, Cell] = {}
    code = code_of(book)
    for group, lists in groups.items():
        if empty := [name for name, values in lists.items() if not values]:
            raise InputError(f"{empty[0]} has no values in group {group}: give one at least")
        typed = [[_typed(book.parameters[n], v) for v in values] for n, values in lists.items()]
        for combination in itertools.product(*typed):
            parameters = defaults | dict(zip(lists, combination, strict=True))
            same = repr(sorted(parameters.items()))
            if same not in found:
                found[same] = Cell(key_of(book, code, parameters, threads), parameters, ())
            asked = dict.fromkeys((*found[same].groups, group))
            found[same] = replace(found[same], groups=tuple(asked))
    return tuple(found.values())


def columns(book: Notebook, groups: Groups) -> tuple[str, ...]:
    """The parameters that any group names, in the notebook's order: columns of the results."""
    named = set(itertools.chain(*groups.values()))
    return tuple(name for name in book.parameters if name in named)


def key_of(book: Notebook, code: str, parameters: Mapping[str, Any], threads: int) -> str:
    """The key of a cell, 16 hex digits: a hash of all that can change its rows.

    In it are the notebook's statements, ``code`` (:func:`code_of`), every parameter but those that
    say where and how, and the number of threads: with another, sums are taken in another order.
    Files that the notebook reads and other packages' versions are not in it.
    """
    matter = {name: value for name, value in parameters.items() if name not in NO_MATTER}
    return memo.digest({"book": book.python, "code": code, "given": matter, "threads": threads})


def code_of(book: Notebook) -> str:
    """A hash of the modules of this package that a notebook imports, at any depth, as they are now.

    Those that only draw are left out, so that a nicer plot makes nobody compute again; the figures
    of a finished cell are those of its day.
    """
    package = b"".join(path.read_bytes() for path in sorted(source.FOLDER.rglob("*.py")))
    return _code_of(book.python, hashlib.sha256(package).hexdigest())


@functools.cache
def _code_of(python: str, package: str) -> str:
    source.read_again()
    return source.source_of_text(python, without=DRAWING)


def check_reach(book: Notebook, names: Iterable[str]) -> None:
    """Raise InputError unless a value given for each of the names comes to be used."""
    names = list(names)
    check_names(book, names)
    if "out" in names or "out" not in book.parameters:
        lacks = "'out' can't be varied" if "out" in names else f"{book.path} has no parameter 'out'"
        raise InputError(f"{lacks}: a sweep gives each cell its own folder there")
    for name in [*names, "out"]:
        if name in book.copied:
            raise InputError(
                f"{book.path}: its parameters cell computes with {name!r}, before it has its "
                "value; move that to the next cell"
            )
        if book.used is not None and name not in book.used:
            raise InputError(
                f"{book.path} never uses its parameter {name!r}: a value would be lost"
            )


def _typed(parameter: Parameter, value: Any) -> Any:
    """The value as the notebook takes it, or InputError.

    A whole number is taken for a float, and so is the text ``1e-3``, which YAML reads as a word.
    """
    kinds = parameter.kinds
    as_text = isinstance(value, str) and str not in kinds and NUMBER.fullmatch(value)
    if float in kinds and (as_text or (type(value) is int and int not in kinds)):
        value = float(value)
    optional = value is None and parameter.literal and parameter.default is None
    if (kinds and type(value) not in kinds and not optional) or not _plain(value):
        names = " or ".join("None" if k is type(None) else k.__name__ for k in kinds) or "plain"
        like = f" such as {parameter.default!r}" if parameter.literal else ""
        quoted = "; put quotes around it" if str in kinds else ""
        raise InputError(f"{parameter.name} = {value!r}: expected a {names} value{like}{quoted}")
    return value + 0.0 if isinstance(value, float) else value  # -0.0 is 0.0


def _plain(value: Any) -> bool:
    """Whether papermill hands a value over as it is: it turns a tuple or a date into text."""
    try:
        return bool(json.loads(json.dumps(value, allow_nan=False)) == value)
    except (TypeError, ValueError):
        return False


def text(value: Any) -> str:
    """A parameter in a table: words as they are, the rest as JSON, None as nothing."""
    if value is None or isinstance(value, str):
        return value or ""
    return str(value) if isinstance(value, (bool, int, float)) else json.dumps(value)
