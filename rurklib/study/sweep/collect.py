"""What came out of a sweep: all rows as one table, the cells as another, and a page to look at.

``results.csv`` has the rows of the finished cells in the grid's order, after the columns ``group``,
``cell`` and the parameters. Its bytes depend on the grid and the cells alone, not on the executor,
the order in which they ended, or kills between. ``cells.csv`` says of every cell its state, its
time and its error. ``index.html`` shows failures first, then figures, then every cell with its
links.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from rurklib.study import report, store
from rurklib.study.sweep.grid import Cell, Plan, text

Record = dict[str, Any]  # what cell.json says
DONE, FAILED = "cells", "failed"  # folders of finished cells, and of the last failure of others
CELL, ROWS = "cell.json", "out/rows.csv"  # in a cell's folder; ``out`` is given to the notebook
SHOWN = 200  # thumbnails; a page with more is slow to open


def write(plan: Plan, records: Sequence[Record]) -> None:
    """Write results.csv, cells.csv and index.html."""
    store.write_frame(plan.out / "results.csv", results(plan, records))
    store.write_frame(plan.out / "cells.csv", states_table(plan, records))
    report.page(plan.out / "index.html", *_page(plan, records))


def results(plan: Plan, records: Sequence[Record]) -> pd.DataFrame:
    """The rows of all finished cells, as text; those of a cell of several groups once for each."""
    frames = [pd.DataFrame(columns=["group", "cell", *plan.columns], dtype=str)]
    for cell, record in zip(plan.cells, records, strict=True):
        if record["status"] == "done":
            rows = read_rows(plan.out / DONE / cell.key / ROWS)
            rows = rows.drop(columns=["group", "cell", *plan.columns], errors="ignore")
            for group in cell.groups:
                named = {"group": group, "cell": cell.key, **_texts(plan, cell)}
                frames.append(pd.concat([pd.DataFrame(named, index=rows.index), rows], axis=1))
    return pd.concat(frames, ignore_index=True).fillna("")


def read_rows(path: Path) -> pd.DataFrame:
    """A cell's rows as they are written: every field is text."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def states_table(plan: Plan, records: Sequence[Record]) -> pd.DataFrame:
    """One row for each cell: key, groups, parameters, state, seconds, error."""
    columns = ("status", "seconds", "error", "message")
    rows = [
        {"cell": cell.key, "groups": " ".join(cell.groups), **_texts(plan, cell)}
        | {name: record.get(name) for name in columns}
        for cell, record in zip(plan.cells, records, strict=True)
    ]
    return pd.DataFrame(rows).fillna(dict.fromkeys(("error", "message"), ""))


def _texts(plan: Plan, cell: Cell) -> dict[str, str]:
    return {name: text(cell.parameters.get(name)) for name in plan.columns}


def described(plan: Plan, records: Sequence[Record]) -> str:
    """The cells as a table, and how many are missing."""
    table = states_table(plan, records)
    done = int((table.status == "done").sum())
    shown = table[["cell", "groups", *plan.columns, "status"]].to_string(index=False)
    return f"{shown}\n\n{len(table)} cells, {done} finished, {len(table) - done} to execute"


def _page(plan: Plan, records: Sequence[Record]) -> tuple[str, list[report.Part]]:
    """Title and content; links and pictures are relative, so the page belongs into its folder."""
    table = states_table(plan, records)
    done, failed = table[table.status == "done"], table[table.status == "failed"]
    title = f"Sweep of {plan.book.path.name}: {len(done)} of {len(table)} cells done"
    parts: list[report.Part] = []
    if len(failed):
        title += f", {len(failed)} failed"
        shown = failed[["cell", *plan.columns, "error", "message"]]
        shown = shown.assign(message=[m.partition("\n")[0][:160] for m in failed.message])
        note = "They are tried again at the next run. Links: the notebooks."
        parts.append(report.Part("Failed", table=_linked(plan, FAILED, shown), note=note))
    parts.append(report.Part(text="The rows of all finished cells: results.csv."))
    pictures = [
        (path, ", ".join(f"{n} {v}" for n, v in _texts(plan, cell).items()))
        for cell, record in zip(plan.cells, records, strict=True)
        if record["status"] == "done"
        for path in sorted((plan.out / DONE / cell.key / "out" / "figures").glob("*.png"))
    ]
    if pictures:
        items = [
            (path.relative_to(plan.out).as_posix(), _alt(path, about), about)
            for path, about in pictures[:SHOWN]
        ]
        more = len(pictures) - SHOWN
        note = f"{more} more are in the cells' folders." if more > 0 else ""
        parts.append(report.Part("Figures", pictures=items, note=note))
    every = _linked(plan, DONE, table.drop(columns=["error", "message"]))
    note = "Links: the executed notebooks."
    return title, [*parts, report.Part("All cells", table=every, note=note)]


def _linked(plan: Plan, place: str, table: pd.DataFrame) -> pd.DataFrame:
    """The table with each cell's key leading to its notebook, where there is one."""
    paths = {key: f"{place}/{key}/{plan.book.path.name}" for key in table.cell}
    cells = [(p, k) if (plan.out / p).exists() else k for k, p in paths.items()]
    return table.assign(cell=cells)


def _alt(picture: Path, about: str) -> str:
    """The alternative text that was saved beside a figure, if any."""
    path = picture.with_suffix(".json")
    saved = store.read_json(path).get("alt", "") if path.exists() else ""
    return str(saved) or f"{picture.stem} of {about}"
