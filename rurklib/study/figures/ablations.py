"""What a choice does: the number that comes out over the values that go in, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rurklib.study.figures.curves import QUANTITIES, bands, key
from rurklib.study.figures.style import BAND, FURTHER, canvas, style


def ablation_panels(
    frame: pd.DataFrame,
    choices: Mapping[str, tuple[str, str]],
    *,
    title: str,
    quantity: str = "ratio_of_means",
    columns: int = 3,
    usual: Mapping[str, object] | None = None,
) -> Figure:
    """A panel for each group of a sweep: ``quantity`` of Original and the method for each value.

    ``frame`` has columns group, method, seed, the swept parameters, ``quantity`` and its bands: one
    row a model and cell. ``choices`` gives each group's parameter and its name for the axis. Marks
    are means over seeds, bars their range; grey is what re-trained models show in that cell, for
    where other samples are forgotten they differ too. ``usual`` marks the scenario's own value.
    """
    ylabel, _, _, target = QUANTITIES[quantity]
    columns = min(columns, len(choices))
    rows = -(-len(choices) // columns)
    figure, axes = canvas(
        rows, columns, width=3.7 * columns + 0.3, height=1.1 + 2.5 * rows, squeeze=False
    )
    methods = [m for m in frame.method.unique() if m != "Re-train"]
    for axis, (group, (parameter, name)) in zip(axes.flat, choices.items(), strict=False):
        part = frame[frame.group == group]
        values = list(part[parameter].drop_duplicates())
        for i, value in enumerate(values):
            cell = part[part[parameter] == value]
            _grey(axis, i, cell, quantity)
            for j, method in enumerate(methods):
                own = cell[cell.method == method][quantity]
                at = i + 0.18 * (j - (len(methods) - 1) / 2)
                axis.vlines(at, own.min(), own.max(), color=style(method)["color"], lw=1.4)
                axis.plot(at, own.mean(), ms=6, ls="", **style(method))
        axis.axhline(target, color="#555555", lw=0.8, ls=":")
        labels = [_short(v) for v in values]
        axis.set_xticks(range(len(values)), labels, fontsize=9)
        if usual and group in usual:
            for label, value in zip(axis.get_xticklabels(), values, strict=True):
                label.set_fontweight("bold" if value == usual[group] else "normal")
        axis.set_xlabel(name, fontsize=9.5)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in axes.flat[len(choices) :]:
        axis.set_axis_off()
    figure.supylabel(ylabel, fontsize=10.5)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    looks = [Line2D([], [], ls="", ms=6, label=m, **style(m)) for m in methods]
    figure.legend(handles=looks, loc="outside lower left", ncols=len(looks), frameon=False,
                  fontsize=9)  # fmt: skip
    first = frame.assign(tau=0.0)
    key(figure, bands(first, quantity), "the forget set of each cell")
    return figure


def pareto(
    frame: pd.DataFrame, *, title: str, groups: Mapping[str, str], quantity: str = "margin_sd"
) -> Figure:
    """What suppression costs: ``quantity`` against test accuracy, one mark a cell.

    ``frame`` has columns group, method, test_accuracy (percent) and ``quantity``: of the method's
    cells, of Original and of Re-train, whose cloud is where one would want to be. ``groups`` names
    the sweeps that are shown, each by a colour and marker of its own.
    """
    figure, axis = canvas(width=8, height=4.8)
    looks = ["o", "D", "^", "s", "v", "P", "X", "<"]
    colors = [
        "#0173b2",
        "#de8f05",
        "#029e73",
        "#d55e00",
        "#cc78bc",
        "#ca9161",
        "#56b4e9",
        "#949494",
    ]
    for method, color in (("Re-train", "#7a7a7a"), ("Original", "#222222")):
        rows = frame[frame.method == method].drop_duplicates(["test_accuracy", quantity])
        axis.plot(rows.test_accuracy, rows[quantity], ls="", marker=style(method)["marker"], ms=5,
                  color=color, alpha=0.55, label=method)  # fmt: skip
    for i, (group, name) in enumerate(groups.items()):
        rows = frame[(frame.group == group) & ~frame.method.isin(["Original", "Re-train"])]
        axis.plot(rows.test_accuracy, rows[quantity], ls="", marker=looks[i % 8], ms=6.5,
                  color=colors[i % 8], mec="white", mew=0.5, label=name)  # fmt: skip
    axis.axhline(0, color="#555555", lw=0.8, ls=":")
    axis.set(
        xlabel="test accuracy (%)", ylabel="margin, in standard deviations\nof re-trained models"
    )
    axis.set_title(title, loc="left")
    axis.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def _grey(axis: Axes, at: int, cell: pd.DataFrame, quantity: str) -> None:
    """What re-trained models show in one cell, as two boxes behind its marks."""
    null = bands(cell.assign(tau=0.0), quantity).iloc[0]
    for low, high, color in (
        (null.predict_low, null.predict_high, FURTHER),
        (null.low, null.high, BAND),
    ):
        if np.isfinite(low):
            axis.fill_between([at - 0.42, at + 0.42], low, high, color=color, lw=0, zorder=0)


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2g}"
    return str(value).replace("small-cnn", "net").replace("uniform-", "").replace("-", "\n")
