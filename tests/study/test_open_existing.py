"""A run from its folder alone, and a word that mends for a folder that isn't one."""

import json
import shutil

import pytest

from rurklib.checks import InputError
from rurklib.study.files import write_json
from rurklib.study.run import open_existing, open_run


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


def test_another_split_is_refused(tmp_path):
    """Fails if a run goes on with other samples than it began with."""
    run = open_run("digits", tmp_path / "r", seeds=[3])
    there = json.loads((run.folder / "split.json").read_text())
    assert there["digest"] == run.split.digest
    assert there["forget"] == [*run.split.forget]
    write_json(run.folder / "split.json", {**there, "digest": "0" * 16})
    with pytest.raises(InputError, match=r"split.json is another split .* use --fresh"):
        open_run("digits", tmp_path / "r", seeds=[3])


def test_changed_hyperparameters_come_back(small_run):
    assert open_existing(small_run).scenario.hyperparameters("RURK")["epochs"] == 2


def test_a_run_that_was_only_begun_is_refused(tmp_path):
    open_run("digits", tmp_path / "r", seeds=[3])
    with pytest.raises(InputError, match=r"Original.*not a finished run"):
        open_existing(tmp_path / "r")


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        (lambda f: shutil.rmtree(f), "is not a run"),
        (lambda f: (f / "run.json").unlink(), "no run.json"),
        (lambda f: (f / "run.json").write_text("{"), "not readable as JSON"),
        (lambda f: edit(f, scenario="digit"), "did you mean 'digits'"),
        (lambda f: edit(f, format=99), "run of format 99"),
        (lambda f: edit(f, kind="rehearsal"), "rehearsal"),
        (lambda f: edit(f, settings=None), "settings = None: expected the settings of a run"),
        (lambda f: edit(f, settings={"methods": {"GD": 3}}), "expected the settings of a run"),
        (lambda f: (f / "models" / "GD-seed0.safetensors").unlink(), "GD-seed0.* missing.*rurk st"),
        (lambda f: (f / "split.json").unlink(), "split.json missing"),
        (lambda f: shutil.rmtree(f / "models"), "Original.*not a finished run"),
        (lambda f: (f / "models" / "GD-seed0.safetensors").write_text("x"), "not a readable check"),
    ],
)  # fmt: skip
def test_other_folders_are_refused_and_left_alone(small_run, tmp_path, harm, says):
    folder = tmp_path / "copy"
    shutil.copytree(small_run, folder)
    harm(folder)
    before = files(folder)
    with pytest.raises(InputError, match=says):
        open_existing(folder)
    assert files(folder) == before


def edit(folder, **changes):
    there = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps({**there, **changes}))
