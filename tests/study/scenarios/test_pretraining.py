"""One pre-trained net that Original and Re-train start from: made once, shared, resumed."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from rurklib import study
from rurklib.data import Dataset
from rurklib.models import build
from rurklib.study import books, files
from rurklib.study.run import open_run
from rurklib.study.scenarios import SCENARIOS
from rurklib.study.summary import summarise
from rurklib.train import Recipe, fit


def images(classes: int, seed: int) -> Dataset:
    """20 + 20 colour images of 8x8 pixels a class."""
    y = torch.arange(20 * classes) % classes
    shade = 20 * y[:, None, None, None]
    g = torch.Generator().manual_seed(seed)
    sides = [
        ((torch.randint(0, 50, (len(y), 3, 8, 8), generator=g) + shade).to(torch.uint8), y)
        for _ in range(2)
    ]
    return Dataset("shades", *sides, tuple(map(str, range(classes))), "random numbers")


def few(path: str) -> Dataset:
    return images(5, 0)


def many(path: str) -> Dataset:
    return images(10, 1)


PAPER = SCENARIOS["cifar5-paper"]
SMALL = replace(
    PAPER,
    name="small-paper",
    data=few,
    model="small-cnn",
    pretrain=replace(PAPER.pretrain, data=many, epochs=1, lr=0.05),
    recipe=replace(PAPER.recipe, epochs=1),
    retrain_epochs=3,
    references=2,
    draws=2,
    taus=(0.0, 0.1),
    perturbations=("gaussian",),
    methods={"GD": {"epochs": 1}},
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of ``cifar5-paper`` on small images, trained and unlearned."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SCENARIOS, "small-paper", SMALL)
        run = open_run("small-paper", tmp_path_factory.mktemp("paper") / "run", seeds=[0])
    study.train(run)
    study.unlearn(run)
    return run


@pytest.fixture
def run(made, tmp_path):
    """A copy of that run, to spoil."""
    return replace(made, folder=shutil.copytree(made.folder, tmp_path / "run"))


def weights(run, name) -> dict[str, torch.Tensor]:
    return files.load_weights(run.checkpoint(name))[0]


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def started(run, seed: int):
    """A net by hand: new, then everything but the last layer's two tensors from the checkpoint."""
    net = build("small-cnn", 3, 5, seed=seed)
    state, before = net.state_dict(), weights(run, ("Pre-train", 0))
    for key in list(state)[:-2]:
        state[key].copy_(before[key])
    assert state[list(state)[-2]].shape[0] == 5
    assert before[list(state)[-2]].shape[0] == 10
    return net


def stamps(run) -> dict[str, int]:
    return {p.name: p.stat().st_mtime_ns for p in (run.folder / "models").iterdir()}


RECIPE = Recipe(lr=0.01, batch_size=128, momentum=0.9, weight_decay=2e-4)


def test_all_start_from_the_pre_trained_net_with_a_new_head(made):
    """By hand. Fails if a net starts from scratch or from another state (BatchNorm's statistics
    included), if the head isn't the seed's own, if Re-train has Original's epochs or data, or if
    the pre-training has the fine-tuning's settings."""
    nets = study.load_models(made, made.trained)
    assert {n[0] for n in nets} == {"Original", "Re-train"}
    assert len(stamps(made)) == 1 + 1 + 2 + 1
    x, y = many("").train
    first = fit(build("small-cnn", 3, 10, seed=0), x, y, RECIPE, seed=0, epochs=1, lr=0.05)
    assert same(first.state_dict(), weights(made, ("Pre-train", 0)))
    for (method, seed), net in nets.items():
        part, epochs = ("original", 1) if method == "Original" else ("retain", 3)
        by_hand = fit(started(made, seed), *made.pair(part), RECIPE, seed=seed, epochs=epochs)
        assert same(by_hand.state_dict(), net.state_dict()), (method, seed)


def test_a_deleted_one_is_made_again_and_nothing_after_it(run):
    """Fails if Original's fingerprint holds more of the pre-trained net than its content, or if a
    missing one is only found by the nets that need it."""
    before, content = stamps(run), weights(run, ("Pre-train", 0))
    study.train(run)
    assert stamps(run) == before
    run.checkpoint(("Pre-train", 0)).unlink()
    study.train(run)
    study.unlearn(run)
    after = stamps(run)
    assert {n for n in after if after[n] != before[n]} == {"Pre-train-seed0.safetensors"}
    assert same(content, weights(run, ("Pre-train", 0)))


def test_other_weights_to_start_from_make_all_again(run):
    """Fails if Original or Re-train doesn't know what it started from."""
    before, path = stamps(run), run.checkpoint(("Pre-train", 0))
    state, fingerprint, record = files.load_weights(path)
    state["net.0.weight"] += 0.1
    files.save_weights(path, state, fingerprint, **record)
    study.train(run)
    after = stamps(run)
    assert {n for n in after if after[n] == before[n]} == {"GD-seed0.safetensors"}
    assert same(state, weights(run, ("Pre-train", 0)))


@pytest.mark.parametrize(("what", "other"), [("data", few), ("epochs", 2), ("lr", 0.06)])
def test_another_pre_training_is_another_net(what, other, run):
    """Fails if a pre-trained net is taken for one on other data or with other settings. (A changed
    setting wants a new folder; here the old net is carried over by hand.)"""
    stamp = stamps(run)["Pre-train-seed0.safetensors"]
    changed = replace(SMALL, pretrain=replace(SMALL.pretrain, **{what: other}))
    study.train(replace(run, scenario=changed))
    assert stamps(run)["Pre-train-seed0.safetensors"] != stamp


def test_it_is_kept_but_not_measured(made):
    """Fails if the pre-trained net becomes a row of a table, or if its loss goes unnoticed by the
    notebook that made it."""
    assert set(summarise(made).method) == {"Original", "Re-train", "GD"}
    assert set(study.measure(made).method) == {"Original", "Re-train", "GD"}
    (book,) = (b for b in books.books_of("study", "cifar5-paper") if "01" in b.path.name)
    assert made.checkpoint(("Pre-train", 0)) in books.outputs_of(made, book)


def test_settings_of_the_pre_training():
    """Fails if --set doesn't reach it."""
    changed = SMALL.changed({"pretrain.epochs": 7, "pretrain.lr": 1, "retrain_epochs": 9})
    assert changed.training("Pre-train") == replace(RECIPE, epochs=7, lr=1.0)
    assert changed.training("Original") == replace(RECIPE, epochs=1)
    assert changed.training("Re-train") == replace(RECIPE, epochs=9)
    settings = changed.settings()
    assert (settings["pretrain.epochs"], settings["pretrain.lr"]) == (7, 1.0)
    assert settings["retrain_epochs"] == 9


def test_scenarios_without_it_are_as_they_were():
    """Fails if run.json of an older folder no longer fits, or Re-train has epochs of its own."""
    digits = SCENARIOS["digits"]
    assert not [k for k in digits.settings() if "pretrain" in k or "retrain" in k]
    assert digits.training("Re-train") == digits.training("Original")
    assert digits.changed({"retrain_epochs": 3}).training("Re-train").epochs == 3


def test_pre_training_reads_the_whole_of_the_same_local_file(tmp_path):
    """Fails if the path reaches the small part alone: the rest would be downloaded."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (2100, 32, 32, 3), np.uint8), np.arange(2100) % 10
    np.savez(tmp_path / "c.npz", train_images=x, train_labels=y, test_images=x, test_labels=y)
    run = open_run("cifar5-paper", tmp_path / "run", settings={"path": str(tmp_path / "c.npz")})
    assert len(run.data.train[0]) == 1000
    whole = run.scenario.pretrain.data(run.scenario.path)
    assert (len(whole.train[0]), len(whole.classes)) == (2100, 10)
