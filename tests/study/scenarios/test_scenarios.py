"""Every scenario is whole, and data that can't be used are refused before a folder is begun."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from rurklib import InputError
from rurklib.models import build
from rurklib.study.cli.main import main
from rurklib.study.run import open_run
from rurklib.study.scenarios import SCENARIOS


@pytest.fixture
def file(tmp_path) -> Path:
    """A small .npz: 24 + 24 grey images of 8x8 pixels in two classes."""
    rng = np.random.default_rng(0)
    y = np.arange(24) % 2
    x = rng.integers(0, 100, (24, 8, 8), np.uint8) + (100 * y[:, None, None]).astype(np.uint8)
    np.savez(tmp_path / "mine.npz", train_images=x, train_labels=y, test_images=x, test_labels=y)
    return tmp_path / "mine.npz"


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_is_plain_data_and_listed_under_its_name(name):
    """Fails if a scenario can't be written to run.json, or its path can't be set."""
    scenario = SCENARIOS[name]
    assert scenario.name == name
    settings = json.loads(json.dumps(scenario.settings()))
    assert settings["path"] == ""
    assert "data" not in settings
    assert scenario.changed({"path": "/somewhere"}).path == "/somewhere"
    assert scenario.taus[0] == 0
    assert {"GD", "GA", "NegGrad+", "RURK"} <= scenario.methods.keys()


@pytest.mark.parametrize("size", [8, 28, 32, 64])
def test_small_cnn_32_takes_images_of_any_size(size):
    import torch

    net = build("small-cnn-32", 3, 5, seed=0)
    assert net(torch.rand(2, 3, size, size)).shape == (2, 5)


def test_the_path_reaches_the_data(file, tmp_path):
    """Fails if a run opens other data than those that the setting names."""
    run = open_run("npz", tmp_path / "run", settings={"path": str(file), "forget_class": 1})
    assert run.data.name == "mine"
    assert len(run.split.forget) == 6
    again = open_run("npz", tmp_path / "run", settings={"path": str(file), "forget_class": 1})
    assert again.split == run.split


def test_the_digits_refuse_a_path(tmp_path, file):
    """Fails if a path is taken and ignored: the user would read numbers about other images."""
    with pytest.raises(InputError, match="leave path out"):
        open_run("digits", tmp_path / "run", settings={"path": str(file)})


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--scenario", "npz"], "--set path=FILE.npz"),
        (["--scenario", "imagefolder"], "--set path=FOLDER"),
        (["--scenario", "npz", "--set", "path=none.npz"], "none.npz does not exist"),
        (["--scenario", "npz", "--set", "path=mine.npz", "--set", "forget_class=2"], "classes 0"),
        (["--scenario", "cifar5", "--set", "path=mine.npz"], "cifar10 has 10 of (3, 32, 32)"),
        (["--scenario", "fashion", "--set", "path=."], "is not a folder of Fashion-MNIST"),
        (["--scenario", "digits", "--set", "path=x"], "leave path out"),
    ],
)
def test_data_that_cannot_be_used_leave_nothing_behind(file, tmp_path, monkeypatch, words, says):
    """Fails if a run folder is begun first: the corrected command would then be refused there."""
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["study", "--out", "run", *words])
    assert result.exit_code == 2, result.output
    assert says in result.output
    assert "Traceback" not in result.output
    assert not (tmp_path / "run").exists()


def test_bad_data_do_not_throw_an_earlier_run_away(file, tmp_path):
    """Fails if --fresh deletes before it knows that the new run can begin."""
    settings = {"path": str(file)}
    open_run("npz", tmp_path / "run", settings=settings)
    file.unlink()
    with pytest.raises(InputError, match="does not exist"):
        open_run("npz", tmp_path / "run", settings=settings, fresh=True)
    assert (tmp_path / "run" / "split.json").exists()


@pytest.mark.slow
def test_a_study_of_ones_own_images_with_a_relative_path(file, tmp_path, monkeypatch):
    """Fails if a path relative to where the command is typed, or a list of values, doesn't reach
    the notebooks, which run elsewhere and get their parameters as text."""
    monkeypatch.chdir(tmp_path)
    small = ["epochs=1", "references=2", "draws=2", "taus=0,0.1", "path=mine.npz", "GD.epochs=1"]
    words = [x for s in small for x in ("--set", s)]
    result = CliRunner().invoke(
        main, ["study", "--scenario", "npz", "--out", "run", "--seeds", "0", *words]
    )
    assert result.exit_code == 0, result.output
    assert (tmp_path / "run" / "report.html").exists()


def test_some_methods_can_be_chosen(tmp_path):
    """Fails if a chosen method loses its values, or a setting of one left out is ignored."""
    digits = SCENARIOS["digits"]
    some = digits.changed({"methods": ["RURK", "GD"], "GD.epochs": 2})
    assert list(some.methods) == ["GD", "RURK"]
    assert some.hyperparameters("RURK") == digits.hyperparameters("RURK")
    assert some.hyperparameters("GD")["epochs"] == 2
    assert list(digits.changed({"methods": "GA"}).methods) == ["GA"]
    assert list(some.settings()["methods"]) == ["GD", "RURK"]
    with pytest.raises(InputError, match="did you mean 'RURK'"):
        digits.changed({"methods": ["RURKS"]})
    with pytest.raises(InputError, match="unknown setting"):
        digits.changed({"methods": ["RURK"], "GD.epochs": 2})
