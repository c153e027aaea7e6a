"""Look after a cell while it is executed: its memory, and whether anyone still wants it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EVERY = 0.5  # seconds


PROC = Path("/proc")


def end_with(driver: int) -> None:
    """End this process when ``driver``, its parent, has ended; its kernel then ends by itself, as
    every kernel looks after its own parent. A killed driver can't tell anyone."""

    def look() -> None:
        while os.getppid() == driver:
            time.sleep(EVERY)
        for pid in descendants(os.getpid()):
            _kill(pid)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()


@contextmanager
def over(mark: Path, peak: list[float]) -> Iterator[None]:
    """Measure in a thread until the block ends; ``peak[0]`` becomes the highest memory in MB.

    If ``mark`` is gone, another driver has swept the cell away: its kernel is killed. A process
    counts from its second look on: between fork and exec it still bears its parent's memory.
    """
    ended = threading.Event()

    def look() -> None:
        before: set[int] = set()
        while not ended.wait(EVERY):
            kernels = descendants(os.getpid())
            settled = before.intersection(kernels)
            before = set(kernels)
            peak[0] = max(peak[0], memory(os.getpid()) + sum(map(high_water, settled)))
            if not mark.exists():
                for pid in kernels:
                    _kill(pid)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def descendants(pid: int) -> list[int]:
    """Processes below ``pid``; none where the system doesn't tell (no /proc)."""
    parents: dict[int, list[int]] = {}
    for path in PROC.glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        parents.setdefault(int(fields[1]), []).append(int(path.parent.name))
    found, waiting = [], [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


def memory(pid: int) -> float:
    """Resident memory of a process now, in MB (10^6 bytes); 0 if it can't be told."""
    return _status(pid, "VmRSS:")


def high_water(pid: int) -> float:
    """The most resident memory that a process ever had, in MB; 0 if it can't be told."""
    return _status(pid, "VmHWM:")


def _status(pid: int, line: str) -> float:
    try:
        text = (PROC / str(pid) / "status").read_text()
    except OSError:
        return 0.0
    found = [words.split()[1] for words in text.splitlines() if words.startswith(line)]
    return int(found[0]) * 1024 / 1e6 if found else 0.0  # a zombie has no such line


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
