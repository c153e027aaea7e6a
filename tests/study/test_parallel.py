"""Tasks in processes and on a cluster: in order, with the same numbers, and after a kill."""

import os
import signal
import threading
import time
from dataclasses import replace

import pytest

from rurklib import study
from rurklib.checks import InputError, count
from rurklib.study import parallel as module
from rurklib.study.parallel import parallel, progress
from rurklib.study.run import open_run

SMALL = {
    "training.epochs": 2, "references": 3, "draws": 2, "taus": [0.0, 0.2], "methods": ["GD"],
    "GD.epochs": 1, "train_images": 300,
}  # fmt: skip


def slow_square(x: int) -> int:
    time.sleep(0.1 * (3 - x))
    return x**2


def dies() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_are_in_order(jobs, run):
    tasks = [(slow_square, (x,)) for x in range(3)]
    assert parallel(replace(run, jobs=jobs), tasks) == [0, 1, 4]
    assert parallel(run, []) == []


def test_a_killed_process_is_an_error_in_one_line(run):
    with pytest.raises(InputError, match="a process was killed") as error:
        parallel(replace(run, jobs=2), [(dies, ()), (slow_square, (1,))])
    assert "\n" not in str(error.value)


def test_a_log_has_a_line_while_a_long_task_works(capsys, monkeypatch):
    monkeypatch.setattr(module, "BEAT", 0.05)
    with progress(3, "models made") as done:
        done(1)
        time.sleep(0.2)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 3
    assert "models made" in lines[0]
    assert "1/3" in lines[1]


def test_a_study_on_a_cluster_one_of_whose_workers_is_killed(tmp_path, monkeypatch):
    """Every table as without it; what was finished is not made again."""
    distributed = pytest.importorskip("distributed")
    plain = open_run("digits", tmp_path / "plain", seeds=[0], settings=SMALL)
    study.tables(plain)
    cluster = distributed.LocalCluster(
        n_workers=2, processes=True, threads_per_worker=1, dashboard_address=None
    )
    with cluster, distributed.Client(cluster, set_as_default=False) as client:
        monkeypatch.setenv("RURK_SCHEDULER", cluster.scheduler_address)
        run = open_run("digits", tmp_path / "cluster", seeds=[0], settings=SMALL)
        pids = list(client.run(os.getpid).values())

        def kill() -> None:
            while not list((run.folder / "models").glob("[!.]*.safetensors")):
                time.sleep(0.01)
            os.kill(pids[0], signal.SIGKILL)

        threading.Thread(target=kill, daemon=True).start()
        study.tables(run)
        with pytest.raises(InputError, match=r"^draws = 0"):  # as it was raised there
            parallel(run, [(count, ("draws", 0))])
    names = {path.name for path in plain.folder.glob("*.csv")}
    assert names == {path.name for path in run.folder.glob("*.csv")}
    for name in names - {"summary.csv"}:  # which has seconds
        assert (run.folder / name).read_bytes() == (plain.folder / name).read_bytes(), name
