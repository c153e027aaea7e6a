"""Residual-knowledge curves: ratio against tau, with what re-trained models do among themselves."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from rurklib.plots.style import BAND, canvas, style


def residual_curves(
    frame: pd.DataFrame,
    *,
    title: str,
    unit: str = "sd of the noise, pixels in [0, 1]",
) -> Figure:
    """Ratio of means over tau for each method: mean over seeds as line, their range as band.

    ``frame`` has columns method, seed, tau, ratio_of_means, null_low, null_high. The grey band is
    the range of the re-trained references against each other. Lines are labelled directly.
    """
    figure, axis = canvas()
    null = frame.groupby("tau")[["null_low", "null_high"]].first()
    axis.fill_between(null.index, null.null_low, null.null_high, color=BAND, alpha=0.8, lw=0)
    axis.plot([0, null.index.max()], [1, 1], color="#555555", lw=0.8, ls=":")
    ends = []
    for method in [m for m in frame.method.unique() if m != "Re-train"]:
        own = frame[frame.method == method].groupby("tau").ratio_of_means
        mean, low, high = own.mean(), own.min(), own.max()
        look = style(method)
        axis.fill_between(mean.index, low, high, color=look["color"], alpha=0.15, lw=0)
        axis.plot(mean.index, mean, ms=6, lw=1.8, **look)
        ends.append([mean.iloc[-1], method, look["color"]])
    right = float(null.index.max())
    ends.append([float(null.iloc[-1].mean()), "re-trained\nmodels", "#6b6b6b"])
    low, high = axis.get_ylim()
    for at, (label_y, text, color) in zip(
        _apart(sorted(e[0] for e in ends), 0.055 * (high - low)),
        sorted(ends, key=lambda e: e[0]),
        strict=True,
    ):
        axis.annotate(
            text,
            (right, label_y),
            (right * 1.03, at),
            color=color,
            va="center",
            fontsize=9.5,
            annotation_clip=False,
        )
    axis.set_xlim(0, right * 1.17)
    axis.set_xticks(sorted(frame.tau.unique()))
    axis.set(xlabel=f"tau ({unit})", ylabel="residual knowledge (ratio of means)")
    axis.set_title(title, loc="left")
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def _apart(values: list[float], gap: float) -> list[float]:
    """Sorted positions moved as little as it takes to be ``gap`` apart."""
    placed = list(values)
    for _ in range(200):
        moved = False
        for i in range(len(placed) - 1):
            short = gap - (placed[i + 1] - placed[i])
            if short > 1e-9:
                placed[i] -= short / 2
                placed[i + 1] += short / 2
                moved = True
        if not moved:
            break
    return placed
