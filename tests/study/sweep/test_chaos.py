"""Kill or interrupt driver and kernels at random moments; what comes out is what would have."""

import json
import multiprocessing
import os
import random
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from rurklib.study.sweep import grid, run

WORDS = ["tau=0,0.1,0.2,0.3", "seed=0,1", "pause=0.3"]
CELLS, FEWEST = 8, 4  # of disturbances, which end when nothing is left to disturb


def drive_it(book: Path, out: Path) -> None:
    records = run.run(run.plan(book, grid.from_options(WORDS), out), jobs=2)
    sys.exit(any(r["status"] != "done" for r in records))


@pytest.fixture
def begin():
    """``begin(book, out)``: a driver in a process of its own, forked from one that has imported
    everything already: half of the test's time otherwise."""
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["papermill", "rurklib.study.sweep.run"])
    begun = []

    def start(book: Path, out: Path) -> multiprocessing.Process:
        begun.append(server.Process(target=drive_it, args=(book, out)))
        begun[-1].start()
        return begun[-1]

    yield start
    for process in begun:
        process.kill()


def kernels(driver: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(driver).children(recursive=True)
    return []


def finished(out: Path) -> dict[str, tuple[int, float]]:
    """Every finished cell, and which file says so: a cell that is executed again has another."""
    cells = {}
    for path in out.glob("cells/[!.]*/cell.json"):
        assert json.loads(path.read_text())["status"] == "done"
        cells[path.parent.name] = (path.stat().st_ino, path.stat().st_mtime)
    return cells


@pytest.mark.slow
def test_kills_change_nothing(tmp_path, notebook, begin, no_kernel):
    book, out, calm = notebook(), tmp_path / "chaos", tmp_path / "calm"
    dice = random.Random(0)
    kinds = ["driver"] * 2 + ["interrupt"] * 2 + ["kernel"] * 3
    dice.shuffle(kinds)
    before: dict = {}
    harmed = 0
    processes: set[psutil.Process] = set()
    driver = begin(book, out)
    for kind in kinds:
        victim: int | None = None
        while victim is None and len(finished(out)) < CELLS:
            if not driver.is_alive():
                driver = begin(book, out)
            if kernels(driver.pid):
                time.sleep(dice.uniform(0, 0.8))
                there = [p.pid for p in kernels(driver.pid)]
                there = there if kind == "kernel" else [driver.pid]
                victim = dice.choice(there) if there and driver.is_alive() else None
            time.sleep(0.02)
        if victim is None:
            break
        processes |= {psutil.Process(driver.pid), *kernels(driver.pid)}
        with suppress(ProcessLookupError):  # its cell was done, and it went by itself
            os.kill(victim, signal.SIGINT if kind == "interrupt" else signal.SIGKILL)
            harmed += 1
        if kind == "interrupt":
            driver.join(10)
            assert not driver.is_alive(), "it waits for its cells"
        now = finished(out)
        assert before.items() <= now.items(), "a finished cell was lost or repeated"
        before = now
    assert harmed >= FEWEST, "all was done before: little was shown"
    driver.join(60)
    for _ in range(3):  # cells that lost their kernel twice have failed and are tried again
        last = begin(book, out)
        last.join(60)
        if last.exitcode == 0:
            break
    assert last.exitcode == 0
    assert before.items() <= finished(out).items()
    run.run(run.plan(book, grid.from_options(WORDS), calm))
    assert len(no_kernel) == CELLS
    assert (out / "results.csv").read_bytes() == (calm / "results.csv").read_bytes()
    assert len((out / "results.csv").read_text().splitlines()) == 1 + CELLS * 2
    assert not [*out.glob("cells/.*"), *out.glob("failed/*")]
    assert not psutil.wait_procs(processes, timeout=5)[1], "left behind"
