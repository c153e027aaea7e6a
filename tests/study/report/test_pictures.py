"""What titles and alternative texts say is what the frames hold."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from rurklib.study.report import doubting, measuring, unlearning
from rurklib.study.report.saved import save_figure
from rurklib.study.report.who import draw_who
from rurklib.study.stages.telling import Telling


@pytest.fixture
def run(tmp_path):
    scenario = SimpleNamespace(taus=(0.0, 0.1, 0.2))
    data = SimpleNamespace(classes=("zero", "one"))
    return SimpleNamespace(
        folder=tmp_path, whole_class=False, scenario=scenario, data=data, forgotten="class one",
        seeds=[3],
    )  # fmt: skip


@pytest.fixture
def titles(monkeypatch):
    """Titles of the figures that are drawn, in order."""
    seen = []

    def save(run, figure, name, **words):
        seen.append(figure.get_suptitle())
        return save_figure(run, figure, name, **words)

    for module in (measuring, doubting, unlearning):
        monkeypatch.setattr(module, "save_figure", save)
    return seen


def alt(run, name):
    return json.loads((run.folder / "figures" / f"{name}.json").read_text())["alt"]


def frame(ratios: dict[str, list[float]]) -> pd.DataFrame:
    """One seed of each method at three taus; a further re-trained model shows 0.9 to 1.1."""
    band = {"null_low": 0.95, "null_high": 1.05, "predict_low": 0.9, "predict_high": 1.1}
    return pd.DataFrame(
        {"method": m, "seed": 0, "perturbation": "gaussian", "tau": t, "ratio_of_means": r, **band}
        for m, its in ratios.items() for t, r in zip((0.0, 0.1, 0.2), its, strict=True)
    )  # fmt: skip


def test_curves_count_taus_above_what_a_further_model_would_show(run, titles):
    """Fails if the range of the references is taken for the prediction, or a mean of verdicts
    for that of most seeds."""
    curve = frame({"Original": [1.0, 1.12, 1.3], "Re-train": [1, 1, 1], "GA": [1.0, 0.9, 0.5]})
    found = ["residual knowledge"] * 3 + ["over-forgotten", "none detected", "over-forgotten"]
    verdicts = pd.DataFrame({"method": ["Original"] * 3 + ["GA"] * 3, "finding": found})
    measuring.draw_curves(measuring.scale_of(run, "gaussian", 6), curve, verdicts)
    title = titles[0]
    assert "a further re-trained model would show at 2 of 3 taus" in title
    assert "at tau 0.2: 1.300 against 1.100" in title
    assert "residual knowledge: Original; over-forgotten: GA" in title
    assert "Original 1.30, GA 0.50; what a further" in alt(run, "03_curves")
    measuring.draw_curves(measuring.scale_of(run, "gaussian", 2), curve, verdicts)
    assert "above the range of the re-trained models at 2 of 3 taus" in titles[1]
    assert "against 1.050" in titles[1]


def test_laws_name_where_original_leaves_the_band_upwards(run, titles):
    """Fails if tau = 0 counts, or a band is left downwards."""
    noise, up = frame({"Original": [1.2, 1.0, 1.0]}), frame({"Original": [1.0, 1.0, 1.2]})
    down = frame({"Original": [1.0, 0.5, 0.5]})
    rows = [noise, up.assign(perturbation="fgsm"), down.assign(perturbation="pgd")]
    panels = {"fgsm": "FGSM, towards y", "pgd": "PGD, towards y"}
    doubting.draw_laws(measuring.scale_of(run, "gaussian", 6), pd.concat(rows), panels)
    assert titles == ["Original leaves the band upwards at some tau > 0 under: FGSM, towards y"]


def test_a_limit_that_is_reached_by_rounding_is_not_passed(run, titles):
    """At tau 0 all may be right: Original is at the limit, to the last digit or one beyond.
    Fails if the curves and the norms count taus by two rules, or by one without tolerance."""
    curve = frame({"Original": [1.1 + 2e-16, 1.12, 1.3]})
    scale = measuring.scale_of(run, "gaussian", 6)
    found = pd.DataFrame({"method": ["Original"], "finding": ["residual knowledge"]})
    measuring.draw_curves(scale, curve, found)
    laws = ("uniform-linf", "pgd-untargeted")
    rows = pd.concat([curve.assign(perturbation=law) for law in laws])
    doubting.draw_norms(scale, rows, dict.fromkeys(laws, (0.0, 0.1, 0.2)))
    assert "would show at 2 of 3 taus" in titles[0]
    assert "would show at 2 of 3 radii by noise" in titles[1]
    assert titles[1].endswith("2 of 3 by search")


def test_who_sets_the_forgotten_apart_is_counted_by_the_band():
    """Fails if Original, a control or a method inside the band counts."""
    rows = {"Original": (1.1, 1.1), "Same-prior": (1.1, 1.1), "Retrain-quarter": (1.0, 1.1),
            "GD": (1.1, 1.08), "RURK": (0.9, 1.05), "NTK": (1.0, 1.03)}  # fmt: skip
    last = pd.DataFrame.from_dict(rows, orient="index", columns=["ratio", "memory"])
    assert doubting.left_for_memory(last.assign(memory_high=1.04)) == (
        "2 of 3 methods set the forgotten apart from strangers (with a ratio of at least 1: GD; "
        "with a ratio below 1: RURK)."
    )


def test_terms_are_told_from_their_first_to_their_last_steps(run, titles):
    history = [{"total": 0.0, "retain": 1.0, "forget": k, "near": 2 * k} for k in range(1, 11)]
    unlearning.draw_terms(run, history)
    told = "retained samples 1 to 1, forgotten samples 1.5 to 9.5,\ntheir noisy copies 3 to 19"
    assert titles == [f"Mean loss: {told} (first and last 2 of 10 steps)"]


def test_who_is_told_by_marks_and_counts(run):
    """Fails if re-trained models aren't counted together, or classes or lines are mixed up."""
    images, labels = torch.rand(2, 1, 4, 4), torch.tensor([1, 1])
    hits = {"original": np.array([9, 8]), "retrained": np.array([5, 6.4])}
    shown = Telling(images, images, labels, 0.2, places=np.array([4, 0]), draws=10, **hits)
    said = {
        ("Original", 0): [1, 1],
        ("GD", 0): [0, 1],
        ("Re-train", 7): [1, 0],
        ("Re-train", 8): [0, 0],
    }
    answers = {name: torch.tensor(classes) for name, classes in said.items()}
    draw_who(run, "01_who", shown, answers, below={"ratio": ["1.8", "1.2"]})
    told = alt(run, "01_who")
    assert "re-trained models 1 0 of 2, Original 1 1 of 1, GD 0 1 of 1" in told
    assert "re-trained, of 10 5 6, Original (seed 3) 9 8, ratio 1.8 1.2" in told
    table = pd.read_csv(run.folder / "figures" / "01_who.csv")
    assert table["sample"].tolist() == [4, 0]
    assert table.GD.tolist() == [0, 1]
