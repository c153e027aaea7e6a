"""Say how far a sweep is: a live line on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rurklib.study.sweep.cell import Record, under_way

LIVE, SPARSE = 1.0, 30.0  # seconds between two lines


@contextmanager
def told(
    out: Path, total: int, todo: int, at_once: int, say: Callable[[str], Any]
) -> Iterator[Callable[[Record], None]]:
    """Give a function that is told every record as it ends; failures are said at once.

    A thread writes the line in between, so the time that is left goes on while nothing ends.
    """
    live = sys.stdout.isatty()
    ended: list[Record] = []
    over, began, lock = threading.Event(), time.perf_counter(), threading.Lock()

    def line() -> str:
        failed = sum(r["status"] == "failed" for r in ended)
        running = min(len(under_way(out)), todo - len(ended))
        text = f"{total - todo + len(ended) - failed} of {total} done, {running} running"
        text += f", {failed} failed" if failed else ""
        left = time_left(ended, todo, running or at_once, time.perf_counter() - began)
        return f"{text}, {left}" if len(ended) < todo else text

    def show(text: str, stays: bool) -> None:
        with lock:
            if live:
                width = shutil.get_terminal_size().columns - 1
                sys.stdout.write(f"\r\x1b[K{text if stays else text[:width]}" + "\n" * stays)
                sys.stdout.flush()
            else:
                say(text)

    def tick() -> None:
        while not over.wait(LIVE if live else SPARSE):
            show(line(), stays=False)

    def tell(record: Record) -> None:
        ended.append(record)
        if record["status"] == "failed":
            show(f"failed: {shown(record)}", stays=True)
        if live:
            show(line(), stays=False)

    show(line(), stays=False)
    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield tell
    finally:
        over.set()
        thread.join()
        show(line(), stays=True)


def shown(record: Record) -> str:
    """One line on a failure: which cell, where in the notebook, what it said."""
    place = f", cell {record['cell']}" if record.get("cell") is not None else ""
    first = next(iter(str(record["message"]).splitlines()), "")
    return f"{record['key']}{place}: {record['error']}: {first}"


def time_left(ended: list[Record], todo: int, at_once: int, passed: float) -> str:
    """In words, from the mean time of the cells that have ended; cells under way count as half."""
    times = [r["seconds"] for r in ended if "seconds" in r]
    if not times:
        return f"time left unknown after {duration(passed)}"
    waiting = max(todo - len(ended) - at_once, 0)
    mean = sum(times) / len(times)
    return f"about {duration(mean * (waiting + at_once / 2) / at_once)} left"


def duration(seconds: float) -> str:
    """Such as 12 s, 5 min or 3.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
