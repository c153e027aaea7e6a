"""How much time a second job saves: the same sweep with one and with two jobs.

    python tests/benchmarks/sweep_jobs.py

Each cell is a notebook that keeps one core busy for a fixed amount of work (2 s or so), beside its
kernel's start. The sweep is run into new folders, one job and two jobs in turn, and the medians are
compared. On 2 idle cores two jobs should take at most 0.6 of one job's time; anything else that
runs on the machine makes it worse. Start of the command included.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

PARAMETERS = 'seed: int = 0\nsteps: int = 1\nout: str = ""'
WORK = """\
from pathlib import Path

total = 0
for i in range(steps):
    total = (total * 31 + i + seed) % 1_000_003
Path(out, "rows.csv").write_text(f"total\\n{total}\\n")"""


def sweep(book: Path, out: Path, cells: int, steps: int, jobs: int) -> float:
    """Seconds of a whole sweep, from the command's start to its end."""
    words = ["--seeds", f"0..{cells - 1}", "--grid", f"steps={steps}", "--jobs", str(jobs)]
    command = [sys.executable, "-m", "rurklib", "sweep", str(book), "--out", str(out), *words]
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=12)
    parser.add_argument("--steps", type=int, default=30_000_000, help="of each cell's loop")
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    seconds: dict[int, list[float]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as name:
        book = Path(name) / "busy.ipynb"
        tagged = new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]})
        nbformat.write(new_notebook(cells=[tagged, new_code_cell(WORK)]), book)
        for repeat in range(asked.repeats):
            results = []
            for jobs in seconds:
                out = Path(name) / f"{repeat}-{jobs}"
                seconds[jobs].append(sweep(book, out, asked.cells, asked.steps, jobs))
                results.append((out / "results.csv").read_bytes())
                print(f"{jobs} jobs: {seconds[jobs][-1]:.1f} s", flush=True)
            if results[0] != results[1]:
                sys.exit("one job and two jobs gave different results")
    one, two = (statistics.median(seconds[jobs]) for jobs in (1, 2))
    load = os.getloadavg()[0]
    print(f"{asked.cells} cells: {one:.1f} s with one job, {two:.1f} s with two: {two / one:.2f}")
    print(f"{os.cpu_count()} cores, load {load:.1f} at the end")


if __name__ == "__main__":
    main()
