"""Residual-knowledge curves over tau, with what re-trained models do among themselves."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rurklib.study.figures.scaffold import (
    BOUNDS,
    HAIR,
    POINTWISE,
    grey_bands,
    panel_names,
    panels,
    spread,
)
from rurklib.study.figures.style import CROWDED, DOTTED, INK, found, style

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
FLOOR = {"ratio_of_means": 0.0}  # what a quantity can't be below

REACH, LEAST = 8, 0.25  # a panel goes as far as so many times its bands' reach, and not less


def residual_curves(
    frame: pd.DataFrame,
    *,
    title: str,
    by: str = "",
    titles: Mapping[Any, str] | None = None,
    quantity: str | Sequence[str] = "ratio_of_means",
    unit: str | Mapping[Any, str] = "sd of the noise, pixels in [0, 1]",
    about: str = "this forget set",
) -> Figure:
    """Residual knowledge over tau for each method: mean over seeds as line, their range as shade.

    ``frame`` has columns method, tau, ``quantity`` and its bands, as
    ``rurklib.study.stages.measure`` gives them. ``quantity`` is "ratio_of_means",
    "margin_difference", or "difference" where a whole class is forgotten; several stand beside each
    other. Greys are the :func:`bands` of re-trained models, for the samples that ``about`` names;
    the light one is pointwise, and says so: at *each* tau 95 of 100 further models are inside.
    Of a method with one model, bars are the 95 % interval of the ratio.

    Methods share a panel; more than six have one each, the others behind it as hair lines, and if
    there is a column ``verdict`` its look instead of their own. With ``by``, a column, there is a
    panel for each of its values (in ``titles``: value: title); ``unit``, of tau, may then be a
    mapping too. Panels share tau where they share its unit, and in a row their scale. A panel
    has room for its bands and shows up to eight times as much to either side of no residual
    knowledge: where a curve ends beyond that, the number is written at the edge.
    """
    asked = [quantity] if isinstance(quantity, str) else list(quantity)
    methods = [m for m in frame.method.unique() if m != "Re-train"]
    each = not by and len(methods) > CROWDED
    names = {m: m for m in methods} if each else panel_names(frame, by, titles)
    keys = {(name, q): text for name, text in names.items() for q in asked}
    alone = len(keys) % 5 == 1  # a panel that would stand in a row of its own
    columns = min(5 - alone if each else len(asked) if len(asked) > 1 else 3, len(keys))
    sharex = isinstance(unit, str)
    sharey = "col" if len(asked) > 1 else each or "row"
    told = frame.groupby("method").verdict.first() if each and "verdict" in frame else {}
    looks = {m: style(m) | (found(told[m]) if m in told else {}) for m in methods}
    label = QUANTITIES[asked[0]][0] if len(asked) == 1 else ""
    with panels(
        keys, title=title, columns=columns, about=about, ylabel=label,
        sharex=sharex, sharey=sharey,
        size=(min(10.6 / columns, 4.3), 2.4) if len(keys) > 1 else (7.2, 3.6),
        xlabel={k: f"tau ({unit if isinstance(unit, str) else unit[k[0]]})" for k in keys},
    ) as (figure, axes):  # fmt: skip
        limits, ends = {}, {}
        for (name, which), axis in axes.items():
            rows = frame[frame[by] == name] if by else frame
            own = [name] if each else [m for m in methods if m in set(rows.method)]
            mine = {m: looks[m] for m in own}
            limits[axis], ends[axis] = _draw(axis, rows, which, mine, methods if each else [])
            axis.set_ylabel("" if label else textwrap.fill(QUANTITIES[which][0], 24), fontsize=9)
        for axis in limits:
            alike = set(axis.get_shared_y_axes().get_siblings(axis)) & set(limits)
            low, high = zip(*(limits[a] for a in alike), strict=True)
            axis.set_ylim(min(low), max(high))
            _mark_beyond(axis, ends[axis], looks)
    return figure


def against_references(
    frame: pd.DataFrame, controls: pd.DataFrame | None = None, *, title: str
) -> Figure:
    """Ratio and margin of one model over tau, a row for the forget set and for each control.

    ``frame`` is a ``ResidualKnowledge.frame`` of one model, ``controls`` its ``.controls``. Rows
    share their scales, so that a control that moves as much as the forget set is seen to. Where no
    ratio is defined, the difference of accuracies is drawn instead.
    """
    sets = [frame.assign(control="forget set"), *([controls] if controls is not None else [])]
    rows = pd.concat([s for s in sets if len(s)]).assign(method="model")
    ratio = "ratio_of_means" if rows.ratio_of_means.notna().any() else "difference"
    return residual_curves(rows, title=title, by="control", quantity=(ratio, "margin_difference"),
                           unit="units of the input", about="the same samples")  # fmt: skip


def cell_curve(
    frame: pd.DataFrame, method: str, *, law: str, quantity: str
) -> tuple[Figure, pd.DataFrame, str]:
    """One cell of a sweep, notebook 6's: ``method`` beside Original over tau, under ``law``.

    ``frame`` as :func:`residual_curves` takes it, with test_accuracy in percent. Returns the
    figure, ``frame`` and its alternative text.
    """
    last = frame[frame.tau == frame.tau.max()].set_index("method")
    (own, mine), (before, after) = (
        last.loc[["Original", method], column] for column in (quantity, "test_accuracy")
    )
    title = (
        f"At the largest tau Original has {own:.3f}, {method} {mine:.3f};\n"
        f"test accuracy {before:.1f} and {after:.1f} %"
    )
    alt = (
        f"Residual knowledge of Original and {method} over tau with the bands of re-trained "
        f"models. At the largest tau {own:.3f} and {mine:.3f}."
    )
    unit = f"{law}, units of the input"
    return residual_curves(frame, quantity=quantity, unit=unit, title=title), frame, alt


def bands(frame: pd.DataFrame, quantity: str) -> pd.DataFrame:
    """What re-trained models do among themselves, by tau: low, high (their range), predict_low,
    predict_high (a further one, 95 % at each tau); NaN where a quantity has no such band. Under a
    perturbation that is found on a model, each model's prediction depends a little on its copies:
    the first model's is taken. No ratio is below 0, nor is its band."""
    _, span, predict, _ = QUANTITIES[quantity]
    # The references' own rows are predictions from one fewer: take a model's.
    rows = frame[frame.method != "Re-train"] if (frame.method != "Re-train").any() else frame
    first = rows.groupby("tau").first()
    null = first.reindex(columns=[*(span or ("", "")), *(predict or ("", ""))]).astype(float)
    return null.set_axis(list(BOUNDS), axis=1).clip(lower=FLOOR.get(quantity))


def _draw(
    axis: Axes, rows: pd.DataFrame, quantity: str, looks: Mapping[str, dict], others: Sequence[str]
) -> tuple[tuple[float, float], dict[str, float]]:
    """The bands, ``others`` as hair lines and the curves of ``looks`` (method: look). Returns the
    limits that a panel needs, and where the curves end."""
    null, target = bands(rows, quantity), QUANTITIES[quantity][3]
    grey_bands(axis, null, further=POINTWISE)
    axis.axhline(target, **DOTTED)
    for k, other in enumerate(others):
        mean = rows[rows.method == other].groupby("tau")[quantity].mean()
        axis.plot(mean.index, mean, color="#bbbbbb", lw=0.6, zorder=1, label=None if k else HAIR)
    ends, points = {}, [target]
    for method, look in looks.items():
        its = rows[rows.method == method]
        look = {"label": None if others else method, **look}
        curve = spread(axis, its, "tau", quantity, method, **look)
        ends[method] = float(curve["mean"].iloc[-1])
        points += [curve["min"].min(), curve["max"].max()]
        if quantity == "ratio_of_means" and "ratio_low" in its and its.tau.is_unique:
            bars = its.tau, its.ratio_low, its.ratio_high
            axis.vlines(*bars, lw=1.4, color=look["color"])
            points += [bars[1].min(), bars[2].max()]
    ticks = [null.index[k] for k in (0, len(null) // 2, -1)]
    axis.set_xticks(ticks, [f"{t:.2g}" for t in ticks])
    low, high = null.min(axis=None), null.max(axis=None)
    wide = np.nanmax([high - target, target - low, 0.0])
    reach = max(REACH * wide, LEAST) if wide > 0 else np.inf  # a class forgotten whole has no band
    low = max(np.nanmin([low, *points]), target - reach, FLOOR.get(quantity, -np.inf))
    high = min(np.nanmax([high, *points]), target + reach)
    margin = 0.06 * (high - low) or 0.05
    return (low - margin, high + margin), ends


def _mark_beyond(axis: Axes, ends: Mapping[str, float], looks: Mapping[str, dict]) -> None:
    """Write at the edge of a panel where the curves end that leave it."""
    low, high = axis.get_ylim()
    for arrow, out, edge, side in (
        ("↓", {m: v for m, v in ends.items() if v < low}, 0.02, "bottom"),
        ("↑", {m: v for m, v in ends.items() if v > high}, 0.98, "top"),
    ):
        words = [f"{arrow} {m + ' ' if len(ends) > 1 else ''}{v:.2f}" for m, v in out.items()]
        if out:
            color = INK if len(out) > 1 else looks[next(iter(out))]["color"]
            axis.text(0.98, edge, "\n".join(words), transform=axis.transAxes, ha="right", va=side,
                      fontsize=9, color=color)  # fmt: skip
