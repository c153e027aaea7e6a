"""index.html of a sweep: failures first, then figures, then every cell with its links."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from rurklib.study.report import page
from rurklib.study.sweep.cell import DONE, FAILED, Record
from rurklib.study.sweep.grid import text
from rurklib.study.sweep.progress import duration

SHOWN = 200  # thumbnails; a page with more is slow to open


def write(
    out: Path,
    notebook: str,
    columns: Sequence[str],
    table: pd.DataFrame,
    records: Sequence[Record],
) -> None:
    """Write the page about ``table``, a row for each cell as in cells.csv. Its links and pictures
    are relative, so it belongs into its folder."""
    count = table.status.value_counts()
    done, failed = int(count.get("done", 0)), int(count.get("failed", 0))
    title = f"Sweep of {notebook}: {done} of {len(records)} cells done"
    title += f", {failed} failed" if failed else ""
    blocks: list[page.Block] = []
    if failed:
        blocks += [page.Heading("Failed"), _failures(out, table, columns)]
    missing = len(records) - done - failed
    if missing:
        blocks.append(page.Text(f"{missing} cells were not begun or not ended. Run again."))
    blocks += [page.Text(_summary(table)), *_figures(out, columns, records)]
    blocks += [page.Heading("All cells"), _all(out, table, notebook)]
    page.write_page(out / "index.html", title, blocks)


def _failures(out: Path, table: pd.DataFrame, columns: Sequence[str]) -> page.Table:
    frame = table[table.status == "failed"]
    links = []
    for key in frame.cell:
        books = sorted((out / FAILED / key).glob("*.ipynb"))
        links.append(f"{FAILED}/{key}/{books[0].name}" if books else "")
    shown = frame[["cell", *columns, "notebook_cell", "error", "message"]]
    shown = shown.assign(message=[shortened(m) for m in shown.message])
    return page.Table(
        shown, "They are tried again at the next run. Links: the notebooks.", links=links
    )


def shortened(message: str, most: int = 160) -> str:
    """The first line, cut if it is long; cells.csv has the whole."""
    first = next(iter(message.splitlines()), "")
    return first if len(first) <= most else first[: most - 3] + "..."


def _summary(table: pd.DataFrame) -> str:
    done = table[table.status == "done"]
    if done.empty:
        return "No cell is done."
    return (
        f"The finished cells took {duration(done.seconds.sum())} one after the other, "
        f"{duration(done.seconds.max())} at most, and {done.peak_mb.max():.0f} MB of memory at "
        f"most (a worker and its kernel). Their rows: results.csv."
    )


def _figures(out: Path, columns: Sequence[str], records: Sequence[Record]) -> list[page.Block]:
    items = []
    for record in records:
        if record["status"] != "done":
            continue
        said = ", ".join(f"{c} {text(record['parameters'].get(c))}" for c in columns)
        for name in record["files"]:
            if name.endswith(".png"):
                path = f"{DONE}/{record['key']}/{name}"
                items.append((path, _alt(out / path) or f"{Path(name).stem} of {said}", said))
    if not items:
        return []
    blocks: list[page.Block] = [page.Heading("Figures"), page.Gallery(items[:SHOWN])]
    if len(items) > SHOWN:
        blocks.append(page.Text(f"{len(items) - SHOWN} more are in the cells' folders."))
    return blocks


def _alt(picture: Path) -> str:
    """The alt text that was saved beside a figure, if any."""
    path = picture.with_suffix(".json")
    return str(json.loads(path.read_text(encoding="utf-8")).get("alt", "")) if path.exists() else ""


def _all(out: Path, table: pd.DataFrame, notebook: str) -> page.Table:
    links = [
        f"{DONE}/{key}/{notebook}" if status == "done" else ""
        for key, status in zip(table.cell, table.status, strict=True)
    ]
    shown = table.drop(columns=["error", "message", "notebook_cell"])
    return page.Table(shown, "Links: the executed notebooks.", links=links)
