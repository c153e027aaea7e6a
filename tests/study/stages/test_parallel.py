"""What is said of work while it runs: every line on a terminal, one for all elsewhere."""

import re
from types import SimpleNamespace

import pytest

from rurklib import study
from rurklib.study.run import open_run
from rurklib.study.stages import parallel as jobs
from rurklib.study.stages.parallel import parallel


def line(k: int) -> str:
    return f"GD seed {k}"


TASKS = [(line, (k,)) for k in range(4)]
SMALL = {"epochs": 1, "references": 2, "train_images": 100}


@pytest.fixture
def run():
    return SimpleNamespace(jobs=1, scenario=SimpleNamespace(threads=1))


@pytest.fixture
def terminal(monkeypatch):
    """pytest changes sys.stdout between fixtures and test: so the one that the code looks at."""
    watched = SimpleNamespace(stdout=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr(jobs, "sys", watched)


def test_on_a_terminal_every_line_is_printed(run, capsys, terminal):
    parallel(run, TASKS, "4 models made")
    for k, told in enumerate(capsys.readouterr().out.splitlines()):
        assert re.fullmatch(rf"{line(k)}: \d+\.\d s \({k + 1} of 4\)", told)


def test_elsewhere_a_stage_is_one_line(run, capsys):
    """Fails if a notebook's first result stands below a line for each model."""
    parallel(run, TASKS, "4 models made")
    (said,) = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"4 models made in \d+\.\d s", said)


def test_a_long_stage_is_told_now_and_then(run, capsys, monkeypatch):
    """Fails if a log says nothing for hours, or tells the last model twice."""
    monkeypatch.setattr(jobs, "SPARSE", 0.0)
    parallel(run, TASKS, "4 models made")
    *between, last = capsys.readouterr().out.splitlines()
    assert between == [f"{line(k)}: 0.0 s ({k + 1} of 4)" for k in range(3)]
    assert last.startswith("4 models made in ")


@pytest.mark.parametrize(("at_once", "minutes"), [(1, [30, 20, 10]), (2, [15, 10, 5])])
def test_of_long_work_it_is_said_how_long_it_will_still_take(
    run, capsys, monkeypatch, terminal, at_once, minutes
):
    """Ten minutes for each of four: fails if what is done counts as to be done, or if one after the
    other is reckoned where two are made at a time."""
    run.jobs = at_once
    monkeypatch.setattr(jobs, "_task", _ten_minutes)
    parallel(run, TASKS, "4 models made")
    told = [re.findall(r"about (\d+) min", said) for said in capsys.readouterr().out.splitlines()]
    assert told == [*([str(left)] for left in minutes), []]


def _ten_minutes(_, threads, function, arguments):
    return function(*arguments), 600.0


def test_of_results_that_are_no_text_it_is_said_how_many_there_are(run, capsys, monkeypatch):
    """Fails if the comparison of 45 models says nothing for half an hour."""
    monkeypatch.setattr(jobs, "SPARSE", 0.0)
    parallel(run, [(len, ("ab",))] * 3, "models compared")
    *between, last = capsys.readouterr().out.splitlines()
    assert between == ["models compared (1 of 3)", "models compared (2 of 3)"]
    assert last.startswith("models compared in ")


@pytest.mark.parametrize("tasks", [[], [(len, ("ab",))]])
def test_nothing_is_said_of_no_work_or_of_work_without_a_stage(run, capsys, tasks):
    assert parallel(run, tasks, "nothing made" if not tasks else "") == [2] * len(tasks)
    assert capsys.readouterr().out == ""


def test_models_that_are_there_say_what_they_took(tmp_path, capsys):
    """As where they were made: how many, and how long. Fails if it is a line more than that."""
    run = open_run("digits", tmp_path / "r", seeds=[0], settings=SMALL)
    study.train(run)
    assert re.fullmatch(r"3 models made in \d+\.\d s\n", capsys.readouterr().out)
    study.train(run)
    there = r"3 models there already; making them took \d+\.\d s\n"
    assert re.fullmatch(there, capsys.readouterr().out)
    run.checkpoint(("Original", 0)).unlink()
    study.train(run)
    assert re.fullmatch(r"1 of 3 models made in \d+\.\d s\n", capsys.readouterr().out)


def test_on_a_terminal_models_that_are_there_are_counted(tmp_path, capsys, terminal):
    run = open_run("digits", tmp_path / "r", seeds=[0], settings=SMALL)
    study.train(run)
    lines = capsys.readouterr().out.splitlines()
    assert [text.split(":")[0] for text in lines] == [
        "Original seed 0",
        "Re-train seed 1000",
        "Re-train seed 1001",
    ]
    study.train(run)
    assert capsys.readouterr().out == "3 of 3 models are there already\n"
