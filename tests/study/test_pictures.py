"""Figures are saved beside their data and shown as they were saved; what they count, they hold."""

import io
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from rurklib.study import pictures
from rurklib.study.figures.style import canvas
from rurklib.study.measurement import Telling


@pytest.fixture
def run(tmp_path):
    scenario = SimpleNamespace(name="digits", taus=(0.0, 0.1, 0.2))
    data = SimpleNamespace(classes=("zero", "one"))
    return SimpleNamespace(
        folder=tmp_path, whole_class=False, scenario=scenario, data=data, seeds=[3]
    )


def test_what_is_shown_is_what_was_saved(tmp_path):
    """The file, its data and its alternative text: the title and the CSV's name, or a given one."""
    figure, axis = canvas()
    axis.plot([1, 2])
    figure.suptitle("Residual knowledge over tau, digits")
    data = pd.DataFrame({"tau": [0.1], "ratio": [1.25]})
    image = pictures.save_figure(tmp_path, figure, "03_a", data=data)
    folder = tmp_path / "figures"
    assert (folder / "03_a.png").read_bytes() == image.data
    pd.testing.assert_frame_equal(pd.read_csv(folder / "03_a.csv"), data)
    alt = "Residual knowledge over tau, digits (data: 03_a.csv)"
    assert Image.open(io.BytesIO(image.data)).text["Description"] == image.alt == alt
    pictures.save_figure(tmp_path, figure, "03_b", data=data, alt="by hand")
    assert pictures.saved_figures(tmp_path) == [
        (folder / "03_a.png", alt),
        (folder / "03_b.png", "by hand"),
    ]


def test_taus_above_the_band_are_counted_by_one_rule_with_tolerance(run):
    """At tau 0 all may be right: Original is at the limit, to the last digit or one beyond.
    Fails if rounding counts, or the range is taken for the prediction interval."""
    band = {"null_low": 0.95, "null_high": 1.05, "predict_low": 0.9, "predict_high": 1.1}
    rows = pd.DataFrame(
        {"method": "Original", "perturbation": law, "tau": tau, "ratio_of_means": ratio, **band}
        for law in ("gaussian", "pgd")
        for tau, ratio in zip((0.0, 0.1, 0.2), (1.1 + 2e-16, 1.12, 1.07), strict=True)
    )
    six, two = (pictures.scale_of(run, "gaussian", k).beyond(rows) for k in (6, 2))
    assert six.groupby("perturbation").sum().to_dict() == {"gaussian": 1, "pgd": 1}
    assert two.groupby("perturbation").sum().to_dict() == {"gaussian": 3, "pgd": 3}


def test_who_recognises_is_counted_by_method_and_sample(run):
    """Fails if re-trained models aren't counted together, or classes or lines are mixed up."""
    images, labels = torch.rand(2, 1, 4, 4), torch.tensor([1, 1])
    hits = {"original": np.array([9, 8]), "retrained": np.array([5, 6.4])}
    chosen = Telling(images, images, labels, 0.2, places=np.array([4, 0]), draws=10, **hits)
    answers = {
        ("Original", 0): [1, 1],
        ("GD", 0): [0, 1],
        ("Re-train", 7): [1, 0],
        ("Re-train", 8): [0, 0],
    }
    answers = {name: torch.tensor(classes) for name, classes in answers.items()}
    pictures.draw_who(run, "01_who", chosen, answers, below={"ratio": ["1.8", "1.2"]})
    assert json.loads((run.folder / "figures" / "01_who.json").read_text())["alt"]
    table = pd.read_csv(run.folder / "figures" / "01_who.csv").to_dict("list")
    assert table == {
        "sample": [4, 0],
        "re-trained models": [1, 0],
        "Original": [1, 1],
        "GD": [0, 1],
        "re-trained, of 10": [5, 6],
        "Original (seed 3)": [9, 8],
        "ratio": [1.8, 1.2],
    }
