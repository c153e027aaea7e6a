"""A run from its folder alone, and a word that mends for a folder that isn't one."""

import json
import shutil

from rurklib.study.run import open_existing


def files(folder):
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_finished_run_is_opened_as_it_was_made_and_nothing_is_written(small_run):
    before = files(small_run)
    run = open_existing(small_run)
    assert run.seeds == (0,)
    assert list(run.scenario.methods) == ["GD", "RURK"]
    assert run.described == json.loads((small_run / "run.json").read_text())
    assert run.split.forget
    assert files(small_run) == before


def test_models_are_enough(small_run, tmp_path):
    """As the inspector and the attacks need no tables: they begin where nobody measured yet."""
    folder = tmp_path / "copy"
    shutil.copytree(small_run, folder, ignore=shutil.ignore_patterns("*.csv", "counts"))
    assert open_existing(folder).trained == open_existing(small_run).trained


def test_changed_hyperparameters_come_back(small_run):
    assert open_existing(small_run).scenario.hyperparameters("RURK")["epochs"] == 2
