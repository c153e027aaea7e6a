"""Figures of notebook 1: the samples on either side, and what models know of them."""

from typing import Any

import pandas as pd

from rurklib.samples import as_float
from rurklib.study.figures import dots, image_rows
from rurklib.study.report.saved import save_figure
from rurklib.study.run import Run


def draw_samples(run: Run) -> Any:
    """Ten forget samples over ten held-out ones: "01_samples"."""
    parts = {"forget (to be forgotten)": "forget", "held out (never seen)": "held_out"}
    rows = {label: as_float(run.pair(p)[0][:10]).cpu().numpy() for label, p in parts.items()}
    data = pd.DataFrame(
        {"part": parts.values(), "samples": [len(run.pair(p)[0]) for p in parts.values()]}
    )
    title = f"{run.forgotten.capitalize()}: nothing in an image says which side it is on"
    alt = f"Ten forget samples and ten held-out samples of {run.forgotten}; they look alike."
    return save_figure(run, image_rows(rows, title=title), "01_samples", data=data, alt=alt)


def draw_accuracies(run: Run, frame: pd.DataFrame) -> Any:
    """Original beside re-trained models: "01_accuracy". ``frame``: a row a model, with method, seed
    and its accuracies, in percent, on retain, forget, held_out and test."""
    names = {"forget": "forget", "held_out": "held-out", "test": "test"}
    mean = frame.groupby("method")[list(names)].mean()
    told = [
        f"{m}: " + ", ".join(f"{names[k]} {v:.1f}" for k, v in r.items())
        for m, r in mean.iterrows()
    ]
    title = (
        "Original knows {Original:.0f} % of the forget samples, re-trained models {Re-train:.0f} %"
    )
    labels = {part: f"{name} accuracy (%)" for part, name in names.items()}
    figure = dots(frame, labels, bars="range", title=title.format_map(mean.forget))
    alt = "Accuracy of Original and of the re-trained models on forget, held-out and test samples; "
    return save_figure(run, figure, "01_accuracy", data=frame, alt=alt + "; ".join(told))
