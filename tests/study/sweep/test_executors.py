"""Real kernels: on this machine, on a Dask cluster, and through the command."""

import json
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from rurklib.study.sweep import run

KILL = "import os, signal; os.kill(os.get{}(), signal.SIGKILL)"


@pytest.mark.slow
def test_the_others_go_on_when_a_notebook_raises_and_a_kernel_is_killed(tmp_path, notebook, rurk):
    out = tmp_path / "s"
    harm = ["1 / 0", KILL.format("pid"), "", "seed = 1"]
    words = [
        "sweep",
        notebook(),
        "--grid",
        f"harm={json.dumps(harm)[1:-1]}",
        "--jobs",
        2,
        "--out",
        out,
    ]
    result = rurk(*words)
    assert result.exit_code == 1, result.output
    cells = pd.read_csv(out / "cells.csv", keep_default_na=False)
    assert cells.error.tolist() == ["ZeroDivisionError", "KernelDied", "", ""]
    assert cells.status.tolist() == ["failed", "failed", "done", "done"]
    assert cells.notebook_cell.astype(str)[0] in ("3", "3.0")
    assert (cells.seconds.astype(float) > 0.2).all()
    assert (cells.peak_mb.astype(float) > 50).all()
    assert len(pd.read_csv(out / "results.csv")) == 4
    page = (out / "index.html").read_text()
    assert page.index("division by zero") < page.index("All cells")
    assert "2 of 4 cells are not done" in result.output
    assert not list(out.glob("cells/.*"))
    executed = next(out.glob("cells/*/tiny.ipynb")).read_text()
    assert "input_path" not in executed
    shown = rurk(*words, "--dry-run")
    assert shown.exit_code == 0
    assert "4 cells, 2 finished, 2 to execute: about" in shown.output


@pytest.mark.slow
def test_dask_gives_the_same_bytes_and_tells_of_a_killed_worker(tmp_path, notebook, no_kernel):
    """A worker of two threads, each with a kernel; in this process, none is started."""
    import dask
    from distributed import LocalCluster

    book = notebook()
    groups = {"a": {"tau": [0.1], "seed": [0, 1]}, "b": {"seed": [1], "tau": [0.1]}}
    plan = run.plan(book, groups, tmp_path / "dask")
    once = dask.config.set({"distributed.scheduler.allowed-failures": 0})
    with once, LocalCluster(1, threads_per_worker=2, dashboard_address=":0") as cluster:
        records = run.run(plan, scheduler=cluster.scheduler_address)
        assert {r["status"] for r in records} == {"done"}
        harm = run.plan(book, {"a": {"harm": [KILL.format("ppid")]}}, tmp_path / "harm")
        (killed,) = run.run(harm, scheduler=cluster.scheduler_address)
    assert killed["error"] == "KilledWorker"
    run.run(plan)
    assert not no_kernel, "what Dask has done is done"
    run.run(run.plan(book, groups, tmp_path / "here"), jobs=2)
    for name in ("results.csv", "results.parquet"):
        made = [(tmp_path / place / name).read_bytes() for place in ("dask", "here")]
        assert made[0] == made[1]
    assert len(pd.read_csv(tmp_path / "dask" / "results.csv")) == 6


def test_a_scheduler_that_does_not_answer(tmp_path, notebook, monkeypatch, rurk):
    monkeypatch.setattr(run, "PATIENCE", 1.0)
    words = ["--grid", "tau=0", "--out", tmp_path / "s", "--engine", "dask"]
    result = rurk("sweep", notebook(), *words, "--scheduler", "tcp://127.0.0.1:9")
    assert result.exit_code == 2, result.output
    assert "no Dask scheduler answers" in result.output
    assert not (tmp_path / "s").exists()


def test_a_dry_run_writes_nothing(tmp_path, notebook, rurk):
    words = ["--grid", "tau=0,0.5", "--seeds", "0..2", "--out", tmp_path / "s", "--dry-run"]
    result = rurk("sweep", notebook(), *words)
    assert result.exit_code == 0
    assert "6 cells, 0 finished, 6 to execute: unknown" in result.output
    assert result.output.count("missing") == 6
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--grid", "tua=1"], "did you mean 'tau'"),
        (["--seeds", "4..1"], "--seeds 4..1"),
        (["--grid", "tau=1", "--jobs", "0"], "jobs = 0"),
        (["--grid", "tau=1", "--jobs", "0", "--dry-run"], "jobs = 0"),
        (["--grid", "seed=0,1", "--seeds", "5"], "--grid has seed, and --seeds is 5"),
        (["--grid", "tau=1", "--threads", "0"], "threads = 0"),
        (["--grid", "tau=1", "--groups", "FILE"], "give one of them"),
        (["--groups", "FILE"], "did you mean 'tau'"),
        (["--grid", "tau=1", "--engine", "desk"], "did you mean 'dask'"),
        (["--grid", "tau=1", "--engine", "dask"], "--scheduler tcp://HOST:PORT"),
        (["--grid", "tau=1", "--scheduler", "tcp://127.0.0.1:1"], "--engine dask"),
    ],
)
def test_bad_words_are_one_line_and_code_two(tmp_path, notebook, refused, words, says):
    (tmp_path / "g.yaml").write_text("a: {tua: [1]}")
    words = [tmp_path / "g.yaml" if w == "FILE" else w for w in words]
    refused(says, "sweep", notebook(), *words, "--out", tmp_path / "s")
    assert not (tmp_path / "s").exists()


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 512 kB, and a function that gives it room."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k", "none", str(place)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root may mount a file system")
    yield place, lambda: subprocess.run(["mount", "-o", "remount,size=9m", str(place)], check=True)
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("size", [4, 100])
def test_a_disk_that_is_full_loses_nothing(notebook, no_kernel, small_disk, rurk, size):
    """In files of 4 kB or at once, so that it is full to the last byte, or with a little room."""
    disk, give_room = small_disk
    work = f"""
from pathlib import Path
for i in range({200 // size}):
    Path(out, f'{{i}}.bin').write_bytes(b'x' * 1024 * {size})
Path(out, 'rows.csv').write_text(f'x\\n{{tau}}\\n')
"""
    words = ["sweep", notebook(work), "--grid", "tau=0,0.1,0.2,0.3", "--out", disk / "s"]
    result = rurk(*words)
    assert result.exit_code == 1
    assert "the disk is full" in result.output
    done = [p.parent.name for p in disk.glob("s/cells/[!.]*/cell.json")]
    assert 1 <= len(done) <= 2
    give_room()
    before = len(no_kernel)
    result = rurk(*words)
    assert result.exit_code == 0, result.output
    assert len(no_kernel) - before == 4 - len(done)
    assert pd.read_csv(disk / "s" / "results.csv").x.tolist() == [0, 0.1, 0.2, 0.3]
    assert not list(Path(disk).glob("s/cells/.*"))
