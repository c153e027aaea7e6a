"""What several commands take alike: options, settings, and a run that no other command works on."""

import functools
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from rurklib.checks import InputError
from rurklib.study import brought
from rurklib.study.environment import needs
from rurklib.study.scenarios import SCENARIOS
from rurklib.study.scenarios.scenario import literal, read_seeds

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
FOLDER = click.Path(path_type=Path)
SCENARIO = click.option(
    "--scenario", default="digits", show_default=True, help=f"one of {', '.join(SCENARIOS)}"
)
OUT = click.option("--out", type=FOLDER, help="run folder [default: runs/SCENARIO]")
SEEDS = click.option("--seeds", help="experiment seeds, 0,1,2 or 0..2 [default: the scenario's]")
CHANGES = click.option(
    "--set", "changes", multiple=True, metavar="NAME=VALUE", help="change a setting"
)
WITH = click.Option(  # of every command
    ["--with", "files"],
    multiple=True,
    metavar="FILE.py",
    expose_value=False,
    callback=lambda context, option, paths: brought.give(paths),
    help="a file of yours, executed: its methods, laws, metrics, nets, data work as ours (again "
    "for each)",
)
SETTINGS = click.option(
    "--settings", "file", type=FILE, help="settings from a JSON file, as rurk tune writes"
)
DIGITS_RUN = Path("runs/digits")
FINISHED = click.option(
    "--run",
    "folder",
    type=FOLDER,
    default=DIGITS_RUN,
    show_default=True,
    help="folder of a study whose models are there",
)


def of_a_study(command: Callable[..., None]) -> Callable[..., None]:
    """The options that say which study is meant: the command is given the scenario, the folder,
    and its seeds and settings as ``choices`` of ``open_run``."""

    @SCENARIO
    @OUT
    @SEEDS
    @CHANGES
    @SETTINGS
    @functools.wraps(command)
    def chosen(scenario: str, out: Any, seeds: Any, changes: Any, file: Any, **more: Any) -> None:
        choices = {
            "seeds": None if seeds is None else read_seeds(seeds),
            "settings": settings(file, changes),
            "brought": brought.given(),
        }
        command(scenario, out or Path("runs") / scenario, choices, **more)

    return chosen


@contextmanager
def locked(scenario: str, folder: Path, **choices: Any) -> Iterator[Any]:
    """The planned run, its folder locked against a second command; nothing written before."""
    from rurklib.study import files
    from rurklib.study.run import open_run

    run = open_run(scenario, folder, **choices, dry=True)
    with files.locked(folder):
        yield run


def begin_digits(folder: Path) -> Any:
    """Where the default run isn't there yet, it is begun, and returned: the models of the digits
    study, from the package or made here, and nothing else."""
    if folder != DIGITS_RUN or folder.exists():
        return None
    from rurklib import study

    click.echo(f"{folder} isn't there yet: its models first")
    with locked("digits", folder):
        run = study.open_run("digits", folder)
        study.train(run)
        study.unlearn(run)
    return run


@contextmanager
def notebooks(run: Any) -> Iterator[Any]:
    """What executes a run's notebooks; one that fails ends the command with its message, code 1."""
    # Kernels inherit it: small nets on several threads wait for each other more than they work.
    os.environ["OMP_NUM_THREADS"] = str(run.scenario.threads)
    needs("papermill", "seaborn", extra="study")
    from rurklib.study import books

    try:
        yield books
    except books.NotebookFailed as error:
        click.echo(f"rurk: {error}", err=True)
        sys.exit(1)


def numbers(option: str, text: str) -> list[float]:
    """The numbers in ``0,0.05``; InputError, which names the option, if they aren't."""
    try:
        return [float(s) for s in text.split(",")]
    except ValueError:
        raise InputError(f"{option} {text}: expected numbers such as 0,0.05,0.1") from None


def settings(file: Path | None, changes: Sequence[str]) -> dict[str, Any]:
    """Settings from a JSON file, then those given one by one as NAME=VALUE, which win."""
    from rurklib.study import files

    return {**(files.read_json(file) if file else {}), **dict(map(setting, changes))}


def setting(text: str) -> tuple[str, Any]:
    """Name and value of ``NAME=VALUE``; InputError if it isn't that."""
    name, _, value = (part.strip() for part in text.partition("="))
    if not name or not value:
        raise InputError(f"--set {text}: expected NAME=VALUE, e.g. --set epochs=10")
    if name == "path":  # as seen from here: notebooks run in a folder of their own
        return name, str(Path(value).expanduser().absolute())
    return name, literal(value)
