"""Which cells: named groups of parameters and their values, checked against the notebook."""

import ast
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from rurklib.checks import InputError
from rurklib.study import extend, store
from rurklib.study.books import NO_MATTER, Notebook, Parameter, check_names
from rurklib.study.scenario import read_seeds

Groups = dict[str, dict[str, list[Any]]]
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
    """A checked sweep. ``columns`` are the parameters that its groups name, in the notebook's
    order: columns of the results."""

    out: Path
    book: Notebook
    cells: tuple[Cell, ...]
    columns: tuple[str, ...]


def from_options(options: Sequence[str]) -> Groups:
    """One group from ``NAME=V1,V2`` each; values are Python literals or plain words, and of seed
    also a range, ``0..4``."""
    group: dict[str, list[Any]] = {}
    for option in options:
        name, _, values = (part.strip() for part in option.partition("="))
        if not name or not values:
            raise InputError(f"--grid {option}: expected NAME=V1,V2,... such as tau=0,0.01,0.03")
        if name in group:
            raise InputError(f"--grid {name} is given twice: give all its values at once")
        if name == "seed" and ".." in values:
            group[name] = read_seeds(values)
            continue
        whole = _literal(f"[{values}]")
        words = [_literal(word.strip()) for word in values.split(",")]
        group[name] = whole if isinstance(whole, list) else words
    return {"grid": group}


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def with_seeds(groups: Groups, text: str) -> Groups:
    """The groups with these values of ``seed``, where a group doesn't give its own."""
    values = read_seeds(text)
    return {name: group | {"seed": group.get("seed", values)} for name, group in groups.items()}


def from_file(path: Path) -> Groups:
    """Groups from YAML: ``NAME: {parameter: [values], ..., fixed: {parameter: value}}``.

    ``seed`` may be written as ``0..4``. Raises InputError.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is not readable as YAML ({reason})") from None
    groups: Groups = {}
    for name, body in _mapping(str(path), content or None).items():
        where = f"{path}, group {name}"
        varied = _mapping(where, body)
        fixed = _mapping(f"{where}, fixed", varied.pop("fixed", {}))
        if both := [name for name in varied if name in fixed]:
            raise InputError(f"{where}: {both[0]} is both varied and fixed; keep one")
        if isinstance(varied.get("seed"), str):
            varied["seed"] = read_seeds(varied["seed"])
        groups[name] = varied | {name: [value] for name, value in fixed.items()}
    return groups


def _mapping(where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(
            f"{where}: {value!r}: expected groups, NAME: {{parameter: [values], ..., "
            "fixed: {parameter: value}}"
        )
    return {str(name): content for name, content in value.items()}


def cells(book: Notebook, groups: Groups) -> tuple[Cell, ...]:
    """All combinations of each group, in order; a combination that comes again is one cell with
    several groups. A parameter that a group doesn't name has its default.

    Raises InputError for a name that the notebook doesn't have, and for a value of another type.
    """
    _check_parameters(book, itertools.chain(*groups.values()))
    defaults = {p.name: p.default for p in book.parameters.values() if p.literal}
    defaults.pop("out", None)
    found: dict[str, Cell] = {}
    code = code_of(book)
    for group, lists in groups.items():
        typed = [_typed(book.parameters[name], values, group) for name, values in lists.items()]
        for combination in itertools.product(*typed):
            parameters = defaults | dict(zip(lists, combination, strict=True))
            key = key_of(book, code, parameters)
            there = found.setdefault(key, Cell(key, parameters, ()))
            found[key] = replace(there, groups=tuple(dict.fromkeys((*there.groups, group))))
    return tuple(found.values())


def key_of(book: Notebook, code: str, parameters: Mapping[str, Any]) -> str:
    """The key of a cell, 16 hex digits: a hash of all that can change its rows.

    In it are the notebook's statements, ``code`` (:func:`code_of`), and every parameter but those
    that say where and how. Files that the notebook reads and other packages' versions are not.
    """
    matter = {name: value for name, value in parameters.items() if name not in NO_MATTER}
    return store.checksum({"book": book.python, "code": code, "given": matter})


def code_of(book: Notebook) -> str:
    """A hash of the package's code and of the plugins that the notebook's kernel loads."""
    plugins = [plugin.sha256 for plugin in extend.LOADED.values()]
    return store.key("cell", {"plugins": plugins}, here=False)


def _check_parameters(book: Notebook, names: Iterable[str]) -> None:
    names = list(names)
    check_names(book, names)
    if "out" in names:
        raise InputError("'out' can't be varied: a sweep gives each cell its own folder there")
    if "out" not in book.parameters:
        raise InputError(
            f"{book.path} has no parameter 'out': a sweep gives each cell its own folder there"
        )


def _typed(parameter: Parameter, values: Any, group: str) -> list[Any]:
    """The values of a group as the notebook takes them, or InputError; a whole number is taken for
    a float."""
    if not isinstance(values, list) or not values:
        raise InputError(
            f"{parameter.name} = {values!r} in group {group}: expected a list of values, one at "
            "least; one that never changes goes to fixed:"
        )
    kinds, typed = parameter.kinds, []
    for value in values:
        if type(value) is int and float in kinds and int not in kinds:
            value = float(value)
        if kinds and type(value) not in kinds:
            names = " or ".join("None" if k is type(None) else k.__name__ for k in kinds)
            like = f" such as {parameter.default!r}" if parameter.literal else ""
            quoted = "; put quotes around it" if str in kinds else ""
            raise InputError(
                f"{parameter.name} = {value!r}: expected a {names} value{like}{quoted}"
            )
        typed.append(value)
    return typed


def text(value: Any) -> str:
    """A parameter in a table: words as they are, the rest as JSON, None as nothing."""
    if value is None or isinstance(value, str):
        return value or ""
    return str(value) if isinstance(value, (bool, int, float)) else json.dumps(value)
