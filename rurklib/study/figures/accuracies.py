"""Accuracies as a figure: every seed a dot, mean and standard deviation beside it."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from rurklib.study.figures.style import canvas, style

PARTS = {
    "retain_accuracy": "retain accuracy (%)",
    "unlearn_accuracy": "unlearn accuracy (%)",
    "test_accuracy": "test accuracy (%)",
}


def accuracy_dots(summary: pd.DataFrame, *, title: str, parts: Mapping[str, str] = PARTS) -> Figure:
    """One panel per accuracy, one row per method; the dashed line is the re-trained mean.

    ``parts`` maps a column of ``summary`` to the label of its axis.
    """
    methods = list(summary.method.unique())
    height = 1.1 + 0.42 * len(methods)
    width = max(9.5, 2.5 * len(parts))
    figure, axes = canvas(1, len(parts), width=width, height=height, sharey=True)
    for axis, (column, label) in zip(axes, parts.items(), strict=True):
        target = summary.loc[summary.method == "Re-train", column].mean()
        axis.axvline(target, color="#7a7a7a", ls="--", lw=1)
        for row, method in enumerate(methods):
            values = summary.loc[summary.method == method, column]
            look = style(method)
            axis.scatter(values, [row] * len(values), s=22, alpha=0.45, lw=0, **look)
            spread = values.std(ddof=1) if len(values) > 1 else 0.0
            axis.errorbar(
                values.mean(), row, xerr=spread, fmt=look["marker"], color=look["color"],
                ms=8, capsize=3, lw=1.6,
            )  # fmt: skip
        axis.set_xlabel(label)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", color="#eeeeee")
        axis.margins(x=0.08)
    axes[0].set_yticks(range(len(methods)), methods)
    axes[0].set_ylim(len(methods) - 0.4, -0.6)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    return figure
