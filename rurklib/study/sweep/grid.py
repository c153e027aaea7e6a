"""Which cells: named groups of parameters and their values, checked against the notebook."""

from __future__ import annotations

import ast
import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rurklib.checks import InputError
from rurklib.study.notebooks import notebook
from rurklib.study.notebooks.notebook import Notebook, Parameter

Groups = dict[str, dict[str, list[Any]]]


ON_THE_COMMAND_LINE = "grid"  # the group of cells that no file names


NO_MATTER = ("out", "jobs")  # parameters that say where and how, and can't change a row


@dataclass(frozen=True)
class Cell:
    """The values of all parameters whose value is known, and the groups that ask for them."""

    parameters: Mapping[str, Any]
    groups: tuple[str, ...]


def from_words(words: Sequence[str]) -> Groups:
    """One group from ``NAME=V1,V2`` each; values are Python literals or plain words."""
    group: dict[str, list[Any]] = {}
    for word in words:
        name, equals, values = (part.strip() for part in word.partition("="))
        if not name or not equals or not values:
            raise InputError(f"--grid {word}: expected NAME=V1,V2,... such as tau=0,0.01,0.03")
        if name in group:
            raise InputError(f"--grid {name} is given twice: give all its values at once")
        group[name] = _values(values)
    return {ON_THE_COMMAND_LINE: group}


def _values(text: str) -> list[Any]:
    try:
        return list(ast.literal_eval(f"({text},)"))
    except (ValueError, SyntaxError):
        return [_word(item.strip()) for item in text.split(",")]


def _word(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def seeds(text: str) -> list[int]:
    """``0..4`` (both ends are in) or ``0,1,2``."""
    found = re.fullmatch(r"\s*(\d+)\s*\.\.\s*(\d+)\s*", text)
    try:
        values = [int(s) for s in text.split(",")] if not found else []
    except ValueError:
        raise InputError(f"--seeds {text}: expected 0..4 or 0,1,2") from None
    values = values or list(range(int(found[1]), int(found[2]) + 1) if found else [])
    if not values or min(values) < 0 or len(set(values)) != len(values):
        raise InputError(f"--seeds {text}: expected different whole numbers, 0..4 or 0,1,2")
    return values


def with_seeds(groups: Groups, text: str) -> Groups:
    """The groups with these values of ``seed``, where a group doesn't give its own."""
    values = seeds(text)
    return {name: group | {"seed": group.get("seed", values)} for name, group in groups.items()}


def from_file(path: Path) -> Groups:
    """Groups from YAML: ``NAME: {parameter: [values], ..., fixed: {parameter: value}}``.

    ``seed`` may be written as ``0..4``. Raises InputError, also for a name that stands twice: YAML
    would drop the first without a word.
    """
    try:
        import yaml
    except ModuleNotFoundError:
        raise InputError(
            'reading groups needs pyyaml: pip install -e ".[study]" in the clone of rurklib'
        ) from None
    try:
        root = yaml.compose(path.read_text(encoding="utf-8"))
        _no_name_twice(path, root)
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is not readable as YAML ({reason})") from None
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path}: expected groups, NAME: {{parameter: [values]}}")
    return {str(name): _group(f"{path}, group {name}", body) for name, body in content.items()}


def _no_name_twice(path: Path, node: Any) -> None:
    import yaml

    if isinstance(node, yaml.MappingNode):
        names = [key.value for key, _ in node.value]
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"{path}: {name} stands twice in one mapping; keep one")
        for _, value in node.value:
            _no_name_twice(path, value)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _no_name_twice(path, value)


def _group(where: str, body: Any) -> dict[str, list[Any]]:
    if not isinstance(body, dict):
        raise InputError(f"{where}: expected parameter: [values], got {body!r}")
    fixed = body.get("fixed", {})
    if not isinstance(fixed, dict):
        raise InputError(f"{where}: expected fixed: {{parameter: value}}, got {fixed!r}")
    group: dict[str, list[Any]] = {}
    for name, values in body.items():
        if name == "fixed":
            continue
        if name == "seed" and isinstance(values, str):
            values = seeds(values)
        if not isinstance(values, list):
            raise InputError(
                f"{where}: {name} = {values!r}: expected a list of values; one value goes to fixed:"
            )
        group[str(name)] = values
    for name, value in fixed.items():
        if name in group:
            raise InputError(f"{where}: {name} is both varied and fixed; keep one")
        group[str(name)] = [value]
    return group


def cells(book: Notebook, groups: Groups) -> list[Cell]:
    """All combinations of each group, in order; a combination that comes again is one cell with
    several groups. A parameter that a group doesn't name has its default, said or not.

    Raises InputError for a name that the notebook doesn't have or doesn't use, for a value of
    another type, and for a notebook that can't be swept.
    """
    named = list(dict.fromkeys(name for group in groups.values() for name in group))
    check_reach(book, named)
    defaults = {
        p.name: p.default for p in book.parameters.values() if p.literal and p.name != "out"
    }
    defaults = {name: value for name, value in defaults.items() if plain(value)}
    found: dict[str, Cell] = {}
    for group, lists in groups.items():
        checked = {
            name: [typed(book.parameters[name], value) for value in values]
            for name, values in lists.items()
        }
        for name, values in checked.items():
            if not values:
                raise InputError(f"{name} has no values in group {group}: give one at least")
        for combination in itertools.product(*checked.values()):
            parameters = defaults | dict(zip(checked, combination, strict=True))
            same = repr(sorted(parameters.items()))
            before = found[same].groups if same in found else ()
            found[same] = Cell(parameters, tuple(dict.fromkeys((*before, group))))
    return list(found.values())


def columns(book: Notebook, groups: Groups) -> list[str]:
    """The parameters that any group names, in the notebook's order: columns of the results."""
    named = {name for group in groups.values() for name in group}
    return [name for name in book.parameters if name in named]


def check_reach(book: Notebook, names: Sequence[str]) -> None:
    """Raise InputError unless a value given for each of the names comes to be used."""
    notebook.check_names(book, names)
    if "out" not in book.parameters:
        raise InputError(
            f"{book.path} has no parameter 'out': a sweep gives each cell its own folder there"
        )
    if "out" in names:
        raise InputError("'out' can't be varied: the sweep gives each cell its own folder")
    for name in names:
        if name in book.copied:
            raise InputError(
                f"{book.path}: its parameters cell computes with {name!r}, before it has its "
                "value; move that to the next cell"
            )
    for name in [*names, "out"]:
        if book.used is not None and name not in book.used:
            raise InputError(
                f"{book.path} never uses its parameter {name!r}: a value would be lost"
            )


def typed(parameter: Parameter, value: Any) -> Any:
    """The value as the notebook takes it, or InputError.

    A whole number is taken for a float, and so is the text ``1e-3``, which YAML reads as a word.
    """
    kinds = parameter.kinds
    if float in kinds and int not in kinds and type(value) is int:
        value = float(value)
    if float in kinds and str not in kinds and isinstance(value, str):
        value = _number(value)
    wrong = bool(kinds) and type(value) not in kinds and not (value is None and optional(parameter))
    if wrong or not plain(value):
        said = " or ".join("None" if k is type(None) else k.__name__ for k in kinds) or "plain"
        like = f" such as {parameter.default!r}" if parameter.literal else ""
        quoted = "; put quotes around it" if str in kinds else ""
        raise InputError(f"{parameter.name} = {value!r}: expected a {said} value{like}{quoted}")
    return value + 0.0 if isinstance(value, float) else value  # -0.0 is 0.0


def optional(parameter: Parameter) -> bool:
    return parameter.literal and parameter.default is None


def _number(text: str) -> Any:
    return float(text) if re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", text, re.I) else text


def plain(value: Any) -> bool:
    """Whether papermill hands a value over as it is: it turns a tuple or a date into text."""
    if isinstance(value, list):
        return all(map(plain, value))
    if isinstance(value, dict):
        return all(isinstance(k, str) and plain(v) for k, v in value.items())
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or type(value) in (int, str, bool)


def text(value: Any) -> str:
    """A parameter in a table: words as they are, the rest as JSON, None as nothing."""
    if value is None or isinstance(value, str):
        return value or ""
    return str(value) if isinstance(value, (bool, int, float)) else json.dumps(value)
