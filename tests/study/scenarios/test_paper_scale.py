"""The paper's own scale: its values, data of the size asked for, and ``cifar10`` in miniature."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rurklib.study import books
from rurklib.study.run import open_existing, open_run
from rurklib.study.scenarios import SCENARIOS

BASELINES = "GD NGD GA NegGrad+ EU-k CF-k SCRUB SSD RURK"


def like_cifar10(path: Path, train: int = 20, test: int = 8) -> Path:
    """A .npz of ten classes of 32x32 images: a shade of the class's own in noise."""
    rng = np.random.default_rng(0)

    def side(each: int) -> tuple[np.ndarray, np.ndarray]:
        y = np.arange(10 * each) % 10
        x = rng.integers(0, 60, (10 * each, 32, 32, 3)) + 15 * y[:, None, None, None]
        return x.astype(np.uint8), y

    (a, b), (c, d) = side(train), side(test)
    np.savez(path, train_images=a, train_labels=b, test_images=c, test_labels=d)
    return path


@pytest.mark.parametrize("name", ["imagenet100", "imagenette-cpu", "cifar10-cpu"])
def test_their_relatives_ask_for_the_same(name):
    """Fails if a scenario forgets another share, lacks a method or a radius of the paper's."""
    other, paper = SCENARIOS[name], SCENARIOS["cifar10"]
    for field in ("forget_class", "forget_share", "test_images"):
        assert getattr(other, field) == getattr(paper, field), field
    assert other.taus[: len(paper.taus)] == paper.taus
    assert list(other.methods)[: len(paper.methods)] == BASELINES.split()
    assert (other.validation_of_train == 0.2) == name.startswith("cifar10")


def test_a_scenario_names_its_seeds(tmp_path, rurk):
    """Fails if a study without --seeds has other seeds than its scenario's, or those asked for are
    passed over."""
    file = like_cifar10(tmp_path / "c.npz")
    settings = {"path": str(file)}
    assert open_run("cifar10", tmp_path / "a", settings=settings, dry=True).seeds == (131, 42, 7)
    assert open_run("cifar10", tmp_path / "a", seeds=[5], settings=settings, dry=True).seeds == (5,)
    assert open_run("digits", tmp_path / "a", dry=True).seeds == (0, 1, 2)
    assert "cifar10: CIFAR-10; seeds 131,42,7" in rurk("scenarios").output


def test_a_part_of_the_training_side_is_for_validation(tmp_path):
    """4 of 20 images a class. Fails if official test images are looked at when choosing, or
    ``train_images`` counts those that are set aside."""
    settings = {"path": str(like_cifar10(tmp_path / "c.npz"))}
    run = open_run("cifar10", tmp_path / "run", settings=settings)
    split = run.split
    assert (len(split.original), len(split.forget)) == (160, 8)
    assert (len(split.validation), len(split.test), len(split.held_out)) == (40, 80, 8)
    assert (run.validation[1].bincount() == 4).all()
    rehearsal = open_run("cifar10", tmp_path / "r", settings=settings, rehearsal=True)
    assert (rehearsal.validation[0] == run.validation[0]).all()
    assert (rehearsal.pair("test")[0] == run.validation[0]).all()
    few = open_run("cifar10", tmp_path / "few", settings={**settings, "train_images": 50})
    assert (len(few.split.original), len(few.split.test)) == (50, 80)
    assert (run.data.test[0] == few.data.test[0]).all()


SMALL = ("epochs=1", "train_images=100", "test_images=40", "references=2", "draws=2",
         "batch_size=16", "lr=0.05", "taus=0,0.0314", "model=small-cnn-32")  # fmt: skip


@pytest.mark.slow
def test_all_of_cifar10_in_miniature(tmp_path, monkeypatch, rurk):
    """From the command to the report, with every law and one method of each kind, on images of
    one's own; then a notebook on them. Fails if one of them can't be run on these images, if the
    paper's numbers don't stand beside ours, or if a path relative to where the command is typed, or
    a list of values, doesn't reach the notebook, which runs elsewhere and gets its parameters as
    text."""
    monkeypatch.chdir(tmp_path)
    like_cifar10(tmp_path / "c.npz")
    # Ten epochs of fine-tuning say no more than one here.
    methods = ("GD", "EU-k", "RURK")
    short = ["methods=" + ",".join(methods), *(f"{m}.epochs=1" for m in methods)]
    words = [w for s in (*SMALL, "path=c.npz", *short) for w in ("--set", s)]
    command = ["study", "--scenario", "cifar10", "--out", "run", "--seeds", "131", *words]
    given = []
    result = rurk(*command, "--tables-only")
    assert result.exit_code == 0, result.output
    assert "\n3 models to train, 3 to unlearn\n" in result.output
    folder = tmp_path / "run"
    assert open_existing(folder).scenario.train_images == 100
    summary = pd.read_csv(folder / "summary.csv")
    assert set(summary.method) == {"Original", "Re-train", *methods}
    numbers = ["retain_accuracy", "unlearn_accuracy", "test_accuracy", "mia", "relearn_epochs"]
    assert summary[numbers].notna().all(axis=None)
    frame = pd.read_csv(folder / "residual_knowledge.csv")
    assert set(frame.perturbation) == {"gaussian", "fgsm", "pgd"}
    assert frame.groupby("perturbation").tau.nunique().tolist() == [2] * 3
    table, curves = (pd.read_csv(folder / "figures" / f"99_{w}.csv") for w in ("table", "curves"))
    assert set(table.method) == set(summary.method)
    assert len(curves) == 3 * (1 + len(methods)) * 2
    assert curves.difference.notna().any()
    assert "The paper" in (folder / "report.html").read_text()

    one = [books.folder() / "01_train.ipynb"]
    executing = books.run_notebooks
    monkeypatch.setattr(
        books,
        "run_notebooks",
        lambda run, values, **kw: given.extend(executing(run, values, one, **kw)),
    )
    result = rurk(*command)
    assert result.exit_code == 0, result.output
    assert "to train" not in result.output  # all are there
    assert given == ["01_train"]
    assert (folder / "figures" / "01_samples.png").exists()
