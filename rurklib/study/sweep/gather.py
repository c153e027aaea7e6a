"""Results of all cells as one table, and what happened to each as another.

``results.csv`` has the rows of the finished cells in the grid's order, after the columns ``group``,
``cell`` and the parameters. Its bytes depend on the grid and the cells alone, not on the engine,
the order in which they ended, or kills between. ``cells.csv`` says of every cell its state, its
time, its memory and its error.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from rurklib.study import files
from rurklib.study.sweep import page
from rurklib.study.sweep.cell import DONE, OUT, ROWS, Record, read_rows
from rurklib.study.sweep.grid import text

RESULTS, CELLS = "results.csv", "cells.csv"


def write(
    out: Path,
    notebook: str,
    columns: Sequence[str],
    groups: Sequence[Sequence[str]],
    records: Sequence[Record],
) -> None:
    """Write results.csv (and .parquet if pyarrow is there), cells.csv and index.html."""
    files.write_frame(out / RESULTS, results(out, columns, groups, records))
    parquet = out / "results.parquet"
    parquet.unlink(missing_ok=True)
    if importlib.util.find_spec("pyarrow"):
        with files.replacing(parquet) as partial:
            pd.read_csv(out / RESULTS).to_parquet(partial, engine="pyarrow", index=False)
    table = cells(columns, groups, records)
    files.write_frame(out / CELLS, table)
    page.write(out, notebook, columns, table, records)


def results(
    out: Path,
    columns: Sequence[str],
    groups: Sequence[Sequence[str]],
    records: Sequence[Record],
) -> pd.DataFrame:
    """The rows of all finished cells, as text; those of a cell of several groups once for each."""
    first = ["group", "cell", *columns]
    frames = [pd.DataFrame(columns=first, dtype=str)]
    for record, names in zip(records, groups, strict=True):
        if record["status"] != "done":
            continue
        rows = read_rows(out / DONE / record["key"] / OUT / ROWS).drop(
            columns=list(columns), errors="ignore"
        )
        given = {name: text(record["parameters"].get(name)) for name in columns}
        for group in names:
            added = pd.DataFrame(
                {"group": group, "cell": record["key"], **given}, index=rows.index, dtype=str
            )
            frames.append(pd.concat([added, rows], axis=1))
    return pd.concat(frames, ignore_index=True).fillna("")


def cells(
    columns: Sequence[str], groups: Sequence[Sequence[str]], records: Sequence[Record]
) -> pd.DataFrame:
    """One row for each cell: key, groups, parameters, state, seconds, peak memory, error."""
    return pd.DataFrame(
        [
            {
                "cell": r["key"],
                "groups": " ".join(names),
                **{name: text(r["parameters"].get(name)) for name in columns},
                "status": r["status"],
                "seconds": r.get("seconds"),
                "peak_mb": r.get("peak_mb"),
                "notebook_cell": "" if r.get("cell") is None else str(r["cell"]),
                "error": r.get("error", ""),
                "message": r.get("message", ""),
            }
            for r, names in zip(records, groups, strict=True)
        ]
    )
