"""Residual-knowledge curves: ratio against tau, with what re-trained models do among themselves."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rurklib.plots.style import BAND, canvas, style

QUANTITIES = {
    "ratio_of_means": ("residual knowledge (ratio of means)", "null_low", "null_high", 1.0),
    "difference": (
        "Pr[m(x') = y] - Pr[a(x') = y]", "null_difference_low", "null_difference_high", 0.0,
    ),
}  # fmt: skip
CROWDED = 6  # lines in one picture; with more, each method gets a panel of its own


def residual_curves(
    frame: pd.DataFrame,
    *,
    title: str,
    quantity: str = "ratio_of_means",
    unit: str = "sd of the noise, pixels in [0, 1]",
) -> Figure:
    """Residual knowledge over tau for each method: mean over seeds as line, their range as shade.

    ``frame`` has columns method, seed, tau, ``quantity`` and its null band, as
    ``rurklib.study.measure`` gives them. The grey band is the range of the re-trained references
    against each other. ``quantity`` is "ratio_of_means", or "difference" where a whole class is
    forgotten. More than six methods are shown in panels, cut off where a method runs far below.
    """
    label, low, high, target = QUANTITIES[quantity]
    null = frame.groupby("tau")[[low, high]].first().set_axis(["low", "high"], axis=1)
    shown = frame[frame.method != "Re-train"].groupby(["method", "tau"], sort=False)[quantity]
    curves = shown.agg(["mean", "min", "max"])
    methods = list(frame.method[frame.method != "Re-train"].unique())
    draw = _together if len(methods) <= CROWDED else _panels
    return draw(curves, null, methods, target, title, f"tau ({unit})", label)


def _band(axis: Axes, null: pd.DataFrame, target: float) -> None:
    axis.fill_between(null.index, null.low, null.high, color=BAND, alpha=0.8, lw=0)
    axis.plot([0, null.index.max()], [target, target], color="#555555", lw=0.8, ls=":")
    axis.spines[["top", "right"]].set_visible(False)


def _line(axis: Axes, curve: pd.DataFrame, method: str) -> None:
    look = style(method)
    axis.fill_between(
        curve.index, curve["min"], curve["max"], color=look["color"], alpha=0.15, lw=0
    )
    axis.plot(curve.index, curve["mean"], ms=6, lw=1.8, **look)


def _together(
    curves: pd.DataFrame, null: pd.DataFrame, methods: list[str], target: float, title: str,
    xlabel: str, ylabel: str,
) -> Figure:  # fmt: skip
    """All in one picture, labelled at the right end."""
    figure, axis = canvas()
    _band(axis, null, target)
    ends = [(float(null.iloc[-1].mean()), "re-trained\nmodels", "#6b6b6b")]
    for method in methods:
        _line(axis, curves.loc[method], method)
        ends.append((curves.loc[method]["mean"].iloc[-1], method, style(method)["color"]))
    right = float(null.index.max())
    low, high = axis.get_ylim()
    ends.sort(key=lambda e: e[0])
    for at, (y, text, color) in zip(
        _apart([e[0] for e in ends], 0.055 * (high - low)), ends, strict=True
    ):
        axis.annotate(
            text, (right, y), (right * 1.03, at), color=color, va="center", fontsize=9.5,
            annotation_clip=False,
        )  # fmt: skip
    axis.set_xlim(0, right * 1.17)
    axis.set_xticks(list(null.index))
    axis.set(xlabel=xlabel, ylabel=ylabel)
    axis.set_title(title, loc="left")
    return figure


def _panels(
    curves: pd.DataFrame, null: pd.DataFrame, methods: list[str], target: float, title: str,
    xlabel: str, ylabel: str,
) -> Figure:  # fmt: skip
    """A panel for each method on common axes, the others as hair lines behind it."""
    columns = 5
    rows = -(-len(methods) // columns)
    figure, axes = canvas(
        rows, columns, width=11, height=1.0 + 2.2 * rows, sharex=True, sharey=True, squeeze=False
    )
    spread = max(null.high.max() - target, target - null.low.min())
    reach = 8 * spread if spread > 0 else float("inf")  # a class forgotten whole has no band
    floor = max(min(curves["min"].min(), null.low.min(), target), target - reach)
    ceiling = min(max(curves["max"].max(), null.high.max(), target), target + reach)
    margin = 0.06 * (ceiling - floor) or 0.05
    for axis, method in zip(axes.flat, methods, strict=False):
        _band(axis, null, target)
        for other in methods:
            axis.plot(null.index, curves.loc[other]["mean"], color="#bbbbbb", lw=0.6, zorder=1)
        _line(axis, curves.loc[method], method)
        axis.set_title(method, loc="left", fontweight="bold")
        end = curves.loc[method]["mean"].iloc[-1]
        if not floor - margin <= end <= ceiling + margin:
            edge, va = (floor, "bottom") if end < floor else (ceiling, "top")
            axis.annotate(
                f"{'↓' if end < floor else '↑'} {end:.2f}", (null.index.max(), edge), ha="right",
                va=va, color=style(method)["color"], fontsize=9.5,
            )  # fmt: skip
    for axis in axes.flat[len(methods) :]:
        axis.set_axis_off()
    axes[0, 0].set_ylim(floor - margin, ceiling + margin)
    taus = list(null.index)
    axes[0, 0].set_xticks([taus[0], taus[len(taus) // 2], taus[-1]])
    for axis in axes[:, 0]:
        axis.set_ylabel("")
    for column in range(columns):  # the lowest panel of each column has the ticks
        last = max(i for i in range(rows) if i * columns + column < len(methods))
        axes[last, column].tick_params(labelbottom=True)
    figure.supxlabel(xlabel, fontsize=10.5)
    figure.supylabel(ylabel, fontsize=10.5)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
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
