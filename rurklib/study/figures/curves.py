"""Residual-knowledge curves: ratio against tau, with what re-trained models do among themselves."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from rurklib.study.figures.style import BAND, FURTHER, canvas, style

RANGE, PREDICT = "range of the re-trained models", "a further one, 95 %"


# what it is, the references' range, the prediction for a further one, where nothing is left
QUANTITIES: dict[str, tuple[str, tuple[str, str] | None, tuple[str, str] | None, float]] = {
    "ratio_of_means": (
        "residual knowledge (ratio of means)",
        ("null_low", "null_high"), ("predict_low", "predict_high"), 1.0,
    ),
    "difference": (
        "Pr[m(x') = y] - Pr[a(x') = y]",
        ("null_difference_low", "null_difference_high"), None, 0.0,
    ),
    "margin_difference": (
        "margin above the re-trained mean (logits)",
        None, ("margin_predict_low", "margin_predict_high"), 0.0,
    ),
}  # fmt: skip


CROWDED = 6  # lines in one picture; with more, each method gets a panel of its own


HAIR: dict[str, Any] = {"color": "#bbbbbb", "lw": 0.6}  # of the other methods, behind a panel's own


def residual_curves(
    frame: pd.DataFrame,
    *,
    title: str,
    quantity: str = "ratio_of_means",
    unit: str = "sd of the noise, pixels in [0, 1]",
) -> Figure:
    """Residual knowledge over tau for each method: mean over seeds as line, their range as shade.

    ``frame`` has columns method, seed, tau, ``quantity`` and its bands, as
    ``rurklib.study.stages.measure`` gives them. Dark grey is the range of the re-trained references
    against each other, light grey the 95 % prediction for a further one on this forget set.
    ``quantity`` is "ratio_of_means", "margin_difference", or "difference" where a whole class is
    forgotten. More than six methods are shown in panels, cut off where a method runs far below.
    """
    label, _, _, target = QUANTITIES[quantity]
    null = bands(frame, quantity)
    shown = frame[frame.method != "Re-train"].groupby(["method", "tau"], sort=False)[quantity]
    curves = shown.agg(["mean", "min", "max"])
    methods = list(frame.method[frame.method != "Re-train"].unique())
    draw = _together if len(methods) <= CROWDED else _panels
    return draw(curves, null, methods, target, title, f"tau ({unit})", label)


def bands(frame: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """What re-trained models do among themselves, by tau: low, high (their range), predict_low,
    predict_high (a further one); NaN where a quantity has no such band. Under a law that searches,
    each model's prediction hangs a little on the copies found on it: the first model's is taken."""
    _, span, predict, _ = QUANTITIES[quantity]
    # The references' own rows are predictions from one fewer: take a model's.
    rows = frame[frame.method != "Re-train"] if (frame.method != "Re-train").any() else frame
    first = rows.groupby("tau").first()
    table = pd.DataFrame(index=first.index, columns=["low", "high", "predict_low", "predict_high"])
    for names, columns in ((["low", "high"], span), (["predict_low", "predict_high"], predict)):
        if columns and set(columns) <= set(first.columns):
            table[names] = first[list(columns)].to_numpy()
    return table.astype(float)


def extent(null: pd.DataFrame) -> tuple[float, float]:
    """Lowest and highest value of either band; NaN if there is none."""
    return float(null.min(axis=None)), float(null.max(axis=None))


def draw_bands(axis: Axes, null: pd.DataFrame, target: float) -> None:
    """Both bands and the line of no residual knowledge, behind whatever is drawn on ``axis``."""
    axis.fill_between(
        null.index, null.predict_low, null.predict_high, color=FURTHER, lw=0, zorder=0
    )
    axis.fill_between(null.index, null.low, null.high, color=BAND, lw=0, zorder=0.1)
    axis.plot([0, null.index.max()], [target, target], color="#555555", lw=0.8, ls=":")
    axis.spines[["top", "right"]].set_visible(False)


def key(
    figure: Figure, null: pd.DataFrame, about: str = "this forget set", hair: bool = False
) -> None:
    """What the greys are, in a line below the picture; ``about``: what they hold for. ``hair``:
    the other methods' lines are among them."""
    shown = [(BAND, RANGE, null.low), (FURTHER, PREDICT, null.predict_low)]
    handles: list[Artist] = [
        Patch(color=color, label=text) for color, text, low in shown if low.notna().any()
    ]
    if hair:
        handles.append(Line2D([], [], label="the other methods, means", **HAIR))
    if handles:
        figure.legend(
            handles=handles, loc="outside lower right", ncols=3, frameon=False, fontsize=9,
            title=f"grey, for {about}:", title_fontsize=9, alignment="left",
        )  # fmt: skip


def draw_curve(axis: Axes, curve: pd.DataFrame, method: str) -> None:
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
    draw_bands(axis, null, target)
    middle = float(null.iloc[-1].mean())
    ends = [(middle if middle == middle else target, "re-trained\nmodels", "#6b6b6b")]
    for method in methods:
        draw_curve(axis, curves.loc[method], method)
        end = curves.loc[method]["mean"].iloc[-1]
        ends.append((end if end == end else target, method, style(method)["color"]))
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
    key(figure, null)
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
    lowest, highest = (v if v == v else target for v in extent(null))
    spread = max(highest - target, target - lowest)
    reach = 8 * spread if spread > 0 else float("inf")  # a class forgotten whole has no band
    least, most = curves["min"].fillna(target).min(), curves["max"].fillna(target).max()
    floor = max(min(least, lowest, target), target - reach)
    ceiling = min(max(most, highest, target), target + reach)
    margin = 0.06 * (ceiling - floor) or 0.05
    for axis, method in zip(axes.flat, methods, strict=False):
        draw_bands(axis, null, target)
        for other in methods:
            axis.plot(null.index, curves.loc[other]["mean"], zorder=1, **HAIR)
        draw_curve(axis, curves.loc[method], method)
        axis.set_title(method, loc="left", fontweight="bold")
        end = curves.loc[method]["mean"].iloc[-1]
        if end < floor - margin or end > ceiling + margin:
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
    figure.supxlabel(xlabel, fontsize=10.5, x=0.06, ha="left")  # beside it, the greys
    figure.supylabel(ylabel, fontsize=10.5)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    key(figure, null, hair=True)
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
