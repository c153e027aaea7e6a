"""Notebooks executed in order, each skipped when nothing that it shows has changed.

A notebook says in its own metadata where it belongs, so that a new one is one file::

    "rurk": {"command": "study", "scenarios": ["digits"], "makes": ["my.csv", "models/Mine-*"]}

``command`` (study or attack) executes it, in the order of names; ``scenarios`` leaves it out for
others; ``makes`` are patterns of the files of a run that it is answerable for, besides its figures
(``!`` takes some out again).

An executed notebook is a run's record of itself: its metadata hold the key of its source, its
parameters, the code that it reaches and what the notebooks before it made, and the digest of every
file that it made. It is moved into place last, so its presence means that all of this was written.
"""

import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rurklib.study import files, memo
from rurklib.study.memo import NOTEBOOK
from rurklib.study.notebooks import notebook
from rurklib.study.notebooks.notebook import NO_MATTER, Notebook
from rurklib.study.run import Run
from rurklib.study.source import notebooks_folder as folder
from rurklib.study.source import source_of_text
from rurklib.study.stages.attack_tables import ATTACKS_FILE

# A link to a file, [words](path): in a run's folder only notebooks of the study lie beside.
LINK = re.compile(r"(?<!!)\[([^]]*)\]\((?!\w+:|#)([^)#]+)[^)]*\)")


class NotebookFailed(RuntimeError):
    """A notebook raised; the message names the notebook, the cell and the error."""


def books_of(command: str, scenario: str) -> list[Notebook]:
    """The notebooks that ``rurk study`` or ``rurk attack`` executes for a scenario, in order."""
    books = map(notebook.read, sorted(folder().glob("*.ipynb")))
    mine = [book for book in books if book.metadata.get("command") == command]
    return [book for book in mine if scenario in book.metadata.get("scenarios", [scenario])]


def unlink(book: Any, scenario: str) -> None:
    """Turn links that lead nowhere from a run's folder into their words, in a notebook's text."""
    beside = {own.path.name for own in books_of("study", scenario)}
    for cell in book.cells:
        if cell.cell_type == "markdown":
            cell.source = LINK.sub(lambda m: m[0 if m[2] in beside else 1], cell.source)


def run_notebooks(
    run: Run,
    parameters: Mapping[str, Any],
    books: Sequence[Path] | None = None,
    say: Callable[[str], None] = print,
) -> list[str]:
    """Execute the notebooks of a study (or ``books``) in order into ``run.folder/notebooks``.

    Each is given all ``parameters``, or ``out`` alone if it has no ``scenario``, and so isn't about
    the run. Returns the names of those that were executed; the others were finished already. Raises
    InputError for a parameter that a notebook doesn't have, before anything runs, and
    NotebookFailed if one raises; what was finished before stays finished.
    """
    named = books_of("study", run.scenario.name) if books is None else map(notebook.read, books)
    given = []
    for book in named:
        about_the_run = "scenario" in book.parameters
        values = {k: v for k, v in parameters.items() if about_the_run or k == "out"}
        if "live" in book.parameters:
            values["live"] = False  # nobody is there to move sliders
        given.append((book, values))
    return _run_all(run, given, {}, say)


def run_attacks(
    run: Run, parameters: Mapping[str, Any], say: Callable[[str], None] = print
) -> list[str]:
    """Execute the notebook of attacks on a finished run; as :func:`run_notebooks` otherwise. It
    isn't one of a study's, which needs no attacker."""
    (book,) = books_of("attack", run.scenario.name)
    notebook.check_names(book, parameters)
    # "--set methods=GD" is a list of one.
    lists = {name for name in parameters if list in book.parameters[name].kinds}
    given = {k: [v] if k in lists and not isinstance(v, list) else v for k, v in parameters.items()}
    others = given.get("others", book.parameters["others"].default)
    tables = {(book.path.parent / other / ATTACKS_FILE).resolve() for other in others}
    tables -= {(run.folder / ATTACKS_FILE).resolve()}  # made by this notebook
    seen = [*map(run.checkpoint, run.trained + run.unlearned), *filter(Path.exists, tables)]
    return _run_all(run, [(book, given)], {str(path): files.digest(path) for path in seen}, say)


def _run_all(
    run: Run,
    given: Sequence[tuple[Notebook, Mapping[str, Any]]],
    before: Mapping[str, str],
    say: Callable[[str], None],
) -> list[str]:
    for book, values in given:
        notebook.check_names(book, values)
    known, executed = dict(before), []
    for number, (book, values) in enumerate(given, start=1):
        target = run.folder / "notebooks" / book.path.name
        step = f"[{number}/{len(given)}] {book.path.stem}"
        wanted = memo.digest(
            {
                "cells": book.cells,
                "given": {k: v for k, v in values.items() if k not in NO_MATTER},
                "code": source_of_text(book.python, brought=book.brought),
                "before": known,
            }
        )
        if is_done(run, target, wanted):
            say(f"{step} finished already, skipped")
        else:
            began = time.perf_counter()
            say(f"{step} ...")
            NOTEBOOK.save(target, _execute(run, book, values), wanted)
            executed.append(book.path.stem)
            say(f"{step} done in {time.perf_counter() - began:.0f} s")
        known |= NOTEBOOK.load(target)[0].metadata["rurk"].get("outputs", {})
    return executed


def is_done(run: Run, target: Path, wanted: str) -> bool:
    """Whether an executed notebook has this key, and all files that it made are whole."""
    if not target.exists():
        return False
    executed, found = NOTEBOOK.load(target)
    outputs = executed.metadata.get("rurk", {}).get("outputs", {})
    return found == wanted and all(
        (run.folder / name).exists() and files.digest(run.folder / name) == digest
        for name, digest in outputs.items()
    )


def outputs_of(run: Run, book: Notebook) -> list[Path]:
    """The files that a notebook is answerable for: what it says, and figures with its number."""
    found: set[Path] = set()
    for pattern in [*book.metadata.get("makes", []), f"figures/{book.path.stem[:2]}_*"]:
        there = set(run.folder.glob(pattern.removeprefix("!")))
        found = found - there if pattern.startswith("!") else found | there
    return sorted(found)


def _execute(run: Run, book: Notebook, parameters: Mapping[str, Any]) -> Any:
    """The executed notebook, with the digests of what it made."""
    import papermill

    for stale in (run.folder / "figures").glob(f"{book.path.stem[:2]}_*"):
        stale.unlink()
    failed = run.folder / "notebooks" / f"{book.path.stem}.failed.ipynb"
    with tempfile.TemporaryDirectory() as place:
        target = Path(place) / book.path.name
        try:
            executed = notebook.execute(book, target, parameters)
        except papermill.PapermillExecutionError as error:
            files.write(failed, target.read_bytes())
            raise NotebookFailed(
                f"{book.path.name}, cell {error.exec_count}: {error.ename}: {error.evalue} "
                f"(see {failed})"
            ) from error
    failed.unlink(missing_ok=True)
    unlink(executed, run.scenario.name)
    made = {p.relative_to(run.folder).as_posix(): files.digest(p) for p in outputs_of(run, book)}
    executed.metadata["rurk"] = {**book.metadata, "outputs": made}
    return executed
