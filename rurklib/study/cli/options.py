"""What several commands take alike: seeds, settings, and a run that no other command works on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rurklib.checks import InputError
from rurklib.study.scenarios.scenario import literal


@contextmanager
def locked(scenario: str, folder: Path, **choices: Any) -> Iterator[Any]:
    """The planned run, its folder locked against a second command; nothing written before."""
    from rurklib.study import files
    from rurklib.study.run import plan_run

    run = plan_run(scenario, folder, **choices)
    with files.locked(folder):
        yield run


def numbers(option: str, text: str) -> list[int]:
    """The whole numbers in ``0,1,2``; InputError, which names the option, if they aren't."""
    try:
        return [int(s) for s in text.split(",")]
    except ValueError:
        raise InputError(f"{option} {text}: expected whole numbers such as 0,1,2") from None


def settings(file: Path | None, words: Sequence[str]) -> dict[str, Any]:
    """Settings from a JSON file, then those given one by one as NAME=VALUE, which win."""
    from rurklib.study import files

    return {**(files.read_json(file) if file else {}), **dict(setting(s) for s in words)}


def setting(text: str) -> tuple[str, Any]:
    """Name and value of ``NAME=VALUE``; InputError if it isn't that."""
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise InputError(f"--set {text}: expected NAME=VALUE, e.g. --set epochs=10")
    name, value = name.strip(), value.strip()
    if name == "path":  # as seen from here: notebooks run in a folder of their own
        return name, str(Path(value).expanduser().absolute())
    return name, literal(value)
