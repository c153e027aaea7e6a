"""Every scenario is whole, and data that can't be used are refused before a folder is begun."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rurklib import InputError
from rurklib.data import Dataset
from rurklib.study import files, scenarios
from rurklib.study.run import open_run
from rurklib.study.scenarios import SCENARIOS
from rurklib.study.scenarios.scenario import PLAIN, tuned
from rurklib.unlearn.contract import check

SETTINGS = sorted(Path(scenarios.__file__).parent.glob("settings/*.json"))


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


def test_the_path_reaches_the_data(file, tmp_path):
    """Fails if a run opens other data than those that the setting names."""
    run = open_run("npz", tmp_path / "run", settings={"path": str(file), "forget_class": 1})
    assert run.data.name == "mine"
    assert len(run.split.forget) == 6
    again = open_run("npz", tmp_path / "run", settings={"path": str(file), "forget_class": 1})
    assert again.split == run.split


def test_bad_data_do_not_throw_an_earlier_run_away(file, tmp_path):
    """Fails if --fresh deletes before it knows that the new run can begin."""
    settings = {"path": str(file)}
    open_run("npz", tmp_path / "run", settings=settings)
    file.unlink()
    with pytest.raises(InputError, match="No such file"):
        open_run("npz", tmp_path / "run", settings=settings, fresh=True)
    assert (tmp_path / "run" / "split.json").exists()


def test_some_methods_can_be_chosen(tmp_path):
    """Fails if a chosen method loses its values."""
    digits = SCENARIOS["digits"]
    some = digits.changed({"methods": ["RURK", "GD"], "GD.epochs": 2})
    assert list(some.methods) == ["GD", "RURK"]
    assert some.hyperparameters("RURK") == digits.hyperparameters("RURK")
    assert some.hyperparameters("GD")["epochs"] == 2
    assert list(digits.changed({"methods": "GA"}).methods) == ["GA"]
    assert list(some.settings()["methods"]) == ["GD", "RURK"]


def test_run_json_says_what_differs_and_no_more():
    """Fails if a scenario that says nothing of a value is described by other words than before, or
    a value that was changed back is taken for the scenario's own when its folder is opened."""
    digits, fast = SCENARIOS["digits"], SCENARIOS["cifar10-cpu"]
    refined = {"augment", "precision", "warmup", "nesterov", "label_smoothing"}
    news = {"image_size", "train_images", "test_images", "validation_of_train", "seeds", "paper"}
    assert not (refined | news) & digits.settings().keys()
    assert digits.changed({"augment": "none", "warmup": 0}) == digits
    assert digits.changed({"augment": "flip-crop"}).training("Re-train").augment == "flip-crop"
    short = fast.changed({"epochs": 1})
    assert short.training("Original").warmup == 1.0  # not refused: it is to see that all runs
    assert short.settings()["warmup"] == 2.0
    plain = fast.changed({"warmup": 0, "augment": "none"})
    assert not {"warmup", "augment"} & plain.settings().keys()
    settings = {k: v for k, v in plain.settings().items() if k != "methods"}
    assert fast.changed({**PLAIN, **settings}) == plain


def test_data_are_read_at_the_size_asked_for():
    """Fails if the size doesn't reach the reader, or reaches one that has none."""
    seen = []

    def reader(path: str, size: int) -> Dataset:
        seen.append((path, size))
        return SCENARIOS["digits"].data("")

    scenario = replace(SCENARIOS["imagenette-cpu"], data=reader)
    assert scenario.image_size == 64
    scenario.changed({"image_size": 32, "path": "here"}).read()
    assert seen == [("here", 32)]
    assert SCENARIOS["imagefolder"].image_size == 32


def test_a_folder_of_images_is_a_run_of_one_size(tmp_path):
    """Fails if images of another size go on in the same folder."""
    from PIL import Image

    for side in ("train", "test"):
        for c in ("a", "b"):
            (tmp_path / "images" / side / c).mkdir(parents=True)
            for k in range(4):
                picture = Image.new("RGB", (9, 9), (40 * k, 90, 200 if c == "a" else 10))
                picture.save(tmp_path / "images" / side / c / f"{k}.png")
    settings = {"path": str(tmp_path / "images")}
    run = open_run("imagefolder", tmp_path / "run", settings=settings)
    assert run.data.train[0].shape == (8, 3, 32, 32)
    open_run("imagefolder", tmp_path / "run", settings=settings, dry=True)
    with pytest.raises(InputError, match="image_size = 32, not 64"):
        open_run("imagefolder", tmp_path / "run", settings={**settings, "image_size": 64}, dry=True)


@pytest.mark.parametrize("file", SETTINGS, ids=lambda file: file.stem)
def test_tuned_values_are_what_tune_writes(file, tmp_path):
    """Fails if a file isn't in the form of ``settings.json``, if it names what no method takes, or
    if its values don't reach a scenario."""
    values = files.read_json(file)
    files.write_json(tmp_path / "again.json", values)
    assert (tmp_path / "again.json").read_bytes() == file.read_bytes()
    methods = " ".join(dict.fromkeys(name.split(".")[0] for name in values))
    read = tuned(file.stem, f"{methods} GD SalUn")
    for method, own in read.items():
        check(method, own)
    flat = {f"{m}.{k}": v for m, own in read.items() for k, v in own.items()}
    assert flat == values
    chosen = [s for s in SCENARIOS.values() if s.methods.get("RURK") == read["RURK"]]
    assert chosen
    assert chosen[0].changed(values) == chosen[0]


@pytest.mark.parametrize("name", ["digits", "cifar5"])
def test_a_whole_class_is_the_same_study_but_for_the_share(name):
    """Fails if a net, a recipe or a radius drifts from those of half a class, or a method is left
    without values of its own."""
    half, whole = SCENARIOS[name], SCENARIOS[f"{name}-class"]
    assert (half.forget_share, whole.forget_share) == (0.5, 1.0)
    again, asked = whole.changed({"forget_share": 0.5}).settings(), half.settings()
    assert set(again.pop("methods")) < set(asked.pop("methods"))
    assert again == asked
    assert {name for name, values in whole.methods.items() if not values} == {"Retrain-quarter"}
