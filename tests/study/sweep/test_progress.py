"""What is told of a sweep while it runs, and how much memory a cell took."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from rurklib.study.sweep import progress, watch


def test_time_left_is_the_mean_time_of_what_is_left():
    ended = [{"seconds": 10.0}, {"seconds": 20.0}, {"status": "failed"}]
    assert progress.time_left(ended, 23, 2, 9.0) == "about 142 s left".replace("142 s", "2 min")
    assert progress.time_left([], 4, 2, 9.0) == "time left unknown after 9 s"
    assert [progress.duration(s) for s in (12.4, 300, 12600)] == ["12 s", "5 min", "3.5 h"]


def test_a_long_sweep_is_told_without_a_terminal_now_and_then(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "SPARSE", 0.05)
    said: list[str] = []
    (tmp_path / "cells" / ".abc.partial.1").mkdir(parents=True)
    with progress.told(tmp_path, 5, 3, 2, said.append) as tell:
        tell({"status": "done", "seconds": 4.0, "key": "a"})
        while len(said) < 3:
            progress.time.sleep(0.01)
    assert said[0] == "2 of 5 done, 0 running, time left unknown after 0 s".replace("0 r", "1 r")
    assert said[1] == "3 of 5 done, 1 running, about 6 s left"


def test_the_highest_memory_is_seen_even_when_it_is_free_again(tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "memory", lambda pid: 0.0)  # what this process has freed meanwhile
    # Workers that other tests left waiting are children of this process as well.
    below, others = watch.descendants, set(watch.descendants(os.getpid()))
    monkeypatch.setattr(
        watch, "descendants", lambda pid: [p for p in below(pid) if p not in others]
    )
    (tmp_path / "mark").touch()
    script = "x = bytearray(150_000_000); del x; print(1, flush=True); input()"
    peak = [0.0]
    with watch.over(tmp_path / "mark", peak):
        child = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        child.stdout.readline()
        assert child.pid in watch.descendants(os.getpid())
        progress.time.sleep(4 * watch.EVERY)
        child.communicate(b"\n")
    assert 150 < peak[0] < 250
    assert json.dumps(peak)


def test_a_process_between_fork_and_exec_is_not_counted_with_its_parents_memory(
    tmp_path, monkeypatch
):
    (tmp_path / "mark").touch()
    looks = iter([[], [7], []])
    monkeypatch.setattr(watch, "EVERY", 0.01)
    monkeypatch.setattr(watch, "descendants", lambda pid: next(looks, []))
    monkeypatch.setattr(watch, "memory", lambda pid: 10.0)
    monkeypatch.setattr(watch, "high_water", lambda pid: 500.0)
    peak = [0.0]
    with watch.over(tmp_path / "mark", peak):
        progress.time.sleep(0.2)
    assert peak == [10.0]
