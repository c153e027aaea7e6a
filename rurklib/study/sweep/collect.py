"""What came out of a sweep: all rows as one table, the cells as another, and a page to look at.

``results.csv`` has the rows of the finished cells in the grid's order, after the columns ``group``,
``cell`` and the parameters. Its bytes depend on the grid and the cells alone, not on the executor,
the order in which they ended, or kills between. ``cells.csv`` says of every cell its state, its
time, its memory and its error. ``index.html`` shows failures first, then figures, then every cell
with its links.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from rurklib.study import files
from rurklib.study.report import page
from rurklib.study.sweep.cell import DONE, FAILED, ROWS, Record, read_rows
from rurklib.study.sweep.grid import Cell, Plan, text

SHOWN = 200  # thumbnails; a page with more is slow to open
TOLD = ("status", "seconds", "peak_mb", "notebook_cell", "error", "message")  # of a cell


def write(plan: Plan, records: Sequence[Record]) -> None:
    """Write results.csv (and .parquet if pyarrow is there), cells.csv and index.html."""
    csv, parquet = plan.out / "results.csv", plan.out / "results.parquet"
    files.write_frame(csv, results(plan, records))
    parquet.unlink(missing_ok=True)
    if importlib.util.find_spec("pyarrow"):
        with files.replacing(parquet) as partial:
            pd.read_csv(csv).to_parquet(partial, engine="pyarrow", index=False)
    files.write_frame(plan.out / "cells.csv", states_table(plan, records))
    page.write_page(plan.out / "index.html", *_page(plan, records))


def results(plan: Plan, records: Sequence[Record]) -> pd.DataFrame:
    """The rows of all finished cells, as text; those of a cell of several groups once for each."""
    frames = [pd.DataFrame(columns=["group", "cell", *plan.columns], dtype=str)]
    for cell, record in zip(plan.cells, records, strict=True):
        if record["status"] == "done":
            rows = read_rows(plan.out / DONE / cell.key / ROWS)
            rows = rows.drop(columns=list(plan.columns), errors="ignore")
            for group in cell.groups:
                named = {"group": group, "cell": cell.key, **_texts(plan, cell)}
                frames.append(pd.concat([pd.DataFrame(named, index=rows.index), rows], axis=1))
    return pd.concat(frames, ignore_index=True).fillna("")


def states_table(plan: Plan, records: Sequence[Record]) -> pd.DataFrame:
    """One row for each cell: key, groups, parameters, state, seconds, peak memory, error."""
    rows = [
        {"cell": cell.key, "groups": " ".join(cell.groups), **_texts(plan, cell)}
        | {name: record.get(name) for name in TOLD}
        for cell, record in zip(plan.cells, records, strict=True)
    ]
    return pd.DataFrame(rows).fillna(dict.fromkeys(("error", "message"), ""))


def _texts(plan: Plan, cell: Cell) -> dict[str, str]:
    return {name: text(cell.parameters.get(name)) for name in plan.columns}


def described(plan: Plan, records: Sequence[Record], jobs: int) -> str:
    """The cells as a table, and how long those that are missing will take, from the mean of those
    that are finished."""
    table = states_table(plan, records)
    done = table[table.status == "done"]
    todo = len(table) - len(done)
    time = "unknown, no cell was ever finished here"
    if len(done):
        time = f"about {duration(done.seconds.mean() * -(-todo // jobs))} with --jobs {jobs}"
    shown = table[["cell", "groups", *plan.columns, "status"]].to_string(index=False)
    return f"{shown}\n\n{len(table)} cells, {len(done)} finished, {todo} to execute: {time}"


def duration(seconds: float) -> str:
    """Such as 12 s, 5 min or 3.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _page(plan: Plan, records: Sequence[Record]) -> tuple[str, list[page.Block]]:
    """Title and content; links and pictures are relative, so the page belongs into its folder."""
    table = states_table(plan, records)
    done, failed = table[table.status == "done"], table[table.status == "failed"]
    title = f"Sweep of {plan.book.path.name}: {len(done)} of {len(table)} cells done"
    blocks: list[page.Block] = []
    if len(failed):
        title += f", {len(failed)} failed"
        shown = failed[["cell", *plan.columns, "notebook_cell", "error", "message"]]
        shown = shown.assign(message=[m.partition("\n")[0][:160] for m in failed.message])
        said = "They are tried again at the next run. Links: the notebooks."
        links = _links(plan, FAILED, failed)
        blocks += [page.Heading("Failed"), page.Table(shown, said, links=links)]
    if missing := len(table) - len(done) - len(failed):
        blocks.append(page.Text(f"{missing} cells were not begun or not ended. Run again."))
    said = "No cell is done."
    if len(done):
        said = (
            f"The finished cells took {duration(done.seconds.sum())} one after the other, "
            f"{duration(done.seconds.max())} at most, and a kernel {done.peak_mb.max():.0f} MB of "
            "memory at most. Their rows: results.csv."
        )
    blocks.append(page.Text(said))
    if pictures := [
        (f"{DONE}/{cell.key}/{name}", ", ".join(f"{n} {v}" for n, v in _texts(plan, cell).items()))
        for cell, record in zip(plan.cells, records, strict=True)
        for name in record.get("files", {})
        if name.endswith(".png")
    ]:
        items = [(path, _alt(plan.out / path, about), about) for path, about in pictures[:SHOWN]]
        blocks += [page.Heading("Figures"), page.Gallery(items)]
    if len(pictures) > SHOWN:
        blocks.append(page.Text(f"{len(pictures) - SHOWN} more are in the cells' folders."))
    shown = table.drop(columns=["error", "message", "notebook_cell"])
    links = _links(plan, DONE, table)
    every = page.Table(shown, "Links: the executed notebooks.", links=links)
    return title, [*blocks, page.Heading("All cells"), every]


def _links(plan: Plan, place: str, table: pd.DataFrame) -> list[str]:
    paths = [f"{place}/{key}/{plan.book.path.name}" for key in table.cell]
    return [path if (plan.out / path).exists() else "" for path in paths]


def _alt(picture: Path, about: str) -> str:
    """The alternative text that was saved beside a figure, if any."""
    path = picture.with_suffix(".json")
    saved = files.read_json(path).get("alt", "") if path.exists() else ""
    return str(saved) or f"{picture.stem} of {about}"
