"""Notebooks executed in order with papermill, each skipped when nothing that it shows has changed.

An executed notebook is a run's record of itself: its metadata hold the fingerprint of its source,
parameters, the package's code and what the notebooks before it made, and the digest of every file
that it made. It is moved into place last, so its presence means that all of this was written.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rurklib.checks import InputError
from rurklib.study import files, memo
from rurklib.study.notebooks import notebook
from rurklib.study.run import Run

NOTEBOOKS = (
    "01_train",
    "02_unlearn",
    "03_residual_knowledge",
    "04_inspect_perturbations",
    "99_report",
)


ATTACKS = "06_adaptive_attacks"  # of a finished run, when it is asked for


class NotebookFailed(RuntimeError):
    """A notebook raised; the message names the notebook, the cell and the error."""


def folder() -> Path:
    """Where the notebooks are: beside the package in a checkout, inside it if installed."""
    for place in (memo.FOLDER.parent / "notebooks", memo.FOLDER / "notebooks"):
        if (place / f"{NOTEBOOKS[0]}.ipynb").exists():
            return place
    raise InputError("the notebooks are missing beside the package: install rurklib again")


def made_by(run: Run, notebook: str) -> list[Path]:
    """The files that a notebook is answerable for, besides its figures."""
    at = run.folder
    files = {
        "01_train": [at / "split.json", *map(run.checkpoint, run.pretrained + run.trained)],
        "02_unlearn": [*map(run.checkpoint, run.unlearned), at / "summary.csv"],
        "03_residual_knowledge": [
            *sorted((at / "models").glob("Smoothed-*.safetensors")),
            *sorted((at / "counts").rglob("*.npz")),
            at / "residual_knowledge.csv",
            at / "verdicts.csv",
        ],
        ATTACKS: [at / "attacks.csv", *sorted((at / "attacks").glob("*.npz"))],
        "99_report": [at / "report.html"],
    }
    figures = sorted((at / "figures").glob(f"{notebook[:2]}_*"))
    return files.get(notebook, []) + figures


def notebooks_of(run: Run) -> tuple[str, ...]:
    """A study's notebooks in order; its scenario may have one more, which needs no model of it."""
    first = run.scenario.introduction
    return (first, *NOTEBOOKS) if first else NOTEBOOKS


def run_notebooks(
    run: Run, parameters: Mapping[str, Any], say: Callable[[str], None] = print
) -> list[str]:
    """Execute the numbered notebooks of a study into ``run.folder/notebooks``.

    Returns the names of those that were executed (the others were finished already). Raises
    InputError for a parameter that a notebook doesn't have, before anything runs, and
    NotebookFailed if one raises; what was finished before stays finished.
    """
    notebooks = notebooks_of(run)
    given = {n: _given(run, n, parameters) for n in notebooks}
    before: dict[str, str] = {}
    executed = []
    for number, name in enumerate(notebooks, start=1):
        source = folder() / f"{name}.ipynb"
        target = run.folder / "notebooks" / source.name
        wanted = _fingerprint(source, given[name], before)
        step = f"[{number}/{len(notebooks)}] {name}"
        outputs = _finished(run, target, wanted)
        if outputs is None:
            began = time.perf_counter()
            say(f"{step} ...")
            outputs = _execute(run, source, target, given[name], wanted)
            executed.append(name)
            say(f"{step} done in {time.perf_counter() - began:.0f} s")
        else:
            say(f"{step} finished already, skipped")
        before |= outputs
    return executed


def run_attacks(
    run: Run, parameters: Mapping[str, Any], say: Callable[[str], None] = print
) -> bool:
    """Execute notebook 6 on a finished run; False if it was finished already.

    Raises as :func:`run_notebooks` does. It isn't one of a study's, which needs no attacker.
    """
    source = folder() / f"{ATTACKS}.ipynb"
    book = notebook.read(source)
    notebook.check_names(book, parameters)
    # "--set methods=GD" is a list of one.
    lists = {name for name in parameters if list in book.parameters[name].kinds}
    parameters = {
        k: [v] if k in lists and not isinstance(v, list) else v for k, v in parameters.items()
    }
    models = {p.name: files.digest(p) for p in map(run.checkpoint, run.trained + run.unlearned)}
    named = parameters.get("others", book.parameters["others"].default)
    tables = {(source.parent / folder / "attacks.csv").resolve() for folder in named}
    tables -= {(run.folder / "attacks.csv").resolve()}  # made by this notebook
    others = {str(t): files.digest(t) for t in sorted(tables) if t.exists()}
    wanted = _fingerprint(source, parameters, models | others)
    if _finished(run, run.folder / "notebooks" / source.name, wanted) is not None:
        say(f"{ATTACKS} finished already, skipped")
        return False
    began = time.perf_counter()
    say(f"{ATTACKS} ...")
    _execute(run, source, run.folder / "notebooks" / source.name, parameters, wanted)
    say(f"{ATTACKS} done in {time.perf_counter() - began:.0f} s")
    return True


def _given(run: Run, name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What a notebook is given: all parameters, or the folder alone if it isn't about the run; and
    no sliders, which nobody is there to move."""
    book = notebook.read(folder() / f"{name}.ipynb")
    alone = name == run.scenario.introduction
    given = {k: v for k, v in parameters.items() if k == "out" or not alone}
    if "live" in book.parameters:
        given["live"] = False
    notebook.check_names(book, given)
    return given


def _fingerprint(source: Path, parameters: Mapping[str, Any], before: Mapping[str, str]) -> str:
    import nbformat

    cells = nbformat.read(source, as_version=4).cells
    return memo.fingerprint(
        cells=[c.source for c in cells],
        parameters={k: v for k, v in parameters.items() if k not in ("out", "jobs")},
        code=memo.code("."),
        before=dict(before),
    )


def _finished(run: Run, target: Path, wanted: str) -> dict[str, str] | None:
    """Digests of the notebook's files, if it has this fingerprint and all of them are whole."""
    if not target.exists():
        return None
    record = files.read_json(target).get("metadata", {}).get("rurk", {})
    outputs: dict[str, str] = record.get("outputs", {})
    if record.get("fingerprint") != wanted:
        return None
    for name, digest in outputs.items():
        path = run.folder / name
        if not path.exists() or files.digest(path) != digest:
            return None
    return outputs


def _execute(
    run: Run, source: Path, target: Path, parameters: Mapping[str, Any], fingerprint: str
) -> dict[str, str]:
    import nbformat
    import papermill

    for stale in (run.folder / "figures").glob(f"{source.stem[:2]}_*"):
        stale.unlink()
    began = time.perf_counter()
    with files.replacing(target) as partial:
        try:
            notebook.execute(source, partial, parameters, cwd=source.parent)
        except papermill.PapermillExecutionError as error:
            failed = run.folder / "notebooks" / f"{source.stem}.failed.ipynb"
            files.write(failed, partial.read_bytes())
            raise NotebookFailed(
                f"{source.name}, cell {error.exec_count}: {error.ename}: {error.evalue} "
                f"(see {failed})"
            ) from error
        book = nbformat.read(partial, as_version=4)
        notebook.forget_paths(book.metadata)
        outputs = {
            str(p.relative_to(run.folder).as_posix()): files.digest(p)
            for p in made_by(run, source.stem)
        }
        book.metadata["rurk"] = {
            "fingerprint": fingerprint,
            "outputs": outputs,
            "seconds": round(time.perf_counter() - began, 1),
        }
        nbformat.write(book, partial)
    (run.folder / "notebooks" / f"{source.stem}.failed.ipynb").unlink(missing_ok=True)
    return outputs
