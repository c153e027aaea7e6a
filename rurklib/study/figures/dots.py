"""A row for each method or request, marks where its numbers are: accuracies, ratios, distances."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rurklib.study.figures.scaffold import (
    BOUNDS,
    RANGE,
    grey_bands,
    method_axis,
    panel_names,
    panels,
)
from rurklib.study.figures.style import BAND, DOTTED, FURTHER, found, style

GREYS = ["null_low", "null_high", "predict_low", "predict_high"]


def dots(
    frame: pd.DataFrame,
    x: str | Mapping[str, str],
    *,
    title: str,
    by: str = "",
    titles: Mapping[Any, str] | None = None,
    rows: str = "method",
    bars: str | tuple[str, str] = "",
    centre: float | str | None = None,
    xlabel: str = "",
    ylabel: str = "",
    columns: int = 4,
    sharex: bool | str = False,
) -> Figure:
    """A row for each value of the column ``rows``, and in it the number ``x`` of each method.

    ``frame`` has the columns method, ``rows`` and ``x``. Panels are those of several ``x`` (column:
    title), or of the values of the column ``by`` (in ``titles``: value: title). ``bars``: "range"
    draws each value pale, their mean and range over them; "quartiles" the median, quartiles and
    range; two columns an interval at each value; "" values alone, joined by a line. With a column
    ``verdict`` marks look like what it says, a verdict or a side, not like their method.

    Grey is what re-trained models show: where they have a row, their mean and range (or median and
    quartiles) across all; else in each row null_low to null_high, their range, and predict_low to
    predict_high, a further one with 95 %, as far as ``frame`` has them. A prediction that is wider
    than marks and ranges need is cut off. Dotted: ``centre``, a number or a column's mean.
    """
    if isinstance(x, Mapping):
        kept = [c for c in dict.fromkeys(("method", rows, "verdict")) if c in frame]
        frame = frame.melt(kept, list(x), var_name="of", value_name="value")
        titles, by, x = x, "of", "value"
    keys, names = panel_names(frame, by, titles), list(frame[rows].unique())
    names = names if rows == "method" else sorted(names)
    columns = min(columns, len(keys))
    with panels(
        keys, title=title, columns=columns, size=(10.4 / columns, 0.7 + 0.28 * len(names)),
        xlabel=xlabel, ylabel=ylabel, sharex=sharex, sharey=True,
    ) as (figure, axes):  # fmt: skip
        for key, axis in axes.items():
            part = frame[frame[by] == key] if by else frame
            _greys(axis, part, x, rows, names, bars)
            if centre is not None:
                at = part[centre].mean() if isinstance(centre, str) else centre
                axis.axvline(at, **DOTTED)
            for at, name in enumerate(names):
                its = part[part[rows] == name]
                if rows != "method":
                    axis.plot(its[x], [at] * len(its), color="#bbbbbb", lw=0.8, zorder=1)
                for method, own in its.groupby("method", sort=False):
                    look = style(str(method)) | {"label": None if rows == "method" else method}
                    judged = "verdict" in own and method != "Re-train"
                    looks = [found(v) if judged else look for v in own.get("verdict", own.method)]
                    _marks(axis, own, x, at, bars, [{**its, "ls": ""} for its in looks])
            if {"null_low", "predict_low"} <= set(frame):
                needed = frame[[x, "null_low", "null_high"]]
                low, high = needed.min(axis=None), needed.max(axis=None)
                axis.set_xlim(low - 0.15 * (high - low), high + 0.15 * (high - low))
        method_axis(axes[next(iter(keys))], [str(n) for n in names])
    return figure


def rule(frame: pd.DataFrame, *, title: str) -> Figure:
    """Where a model stands by each question of the verdict's rule, on the forget set and controls.

    ``frame`` has the columns of, part, verdict, deviation and :data:`GREYS`, all numbers in
    standard deviations (:func:`rurklib.study.audit.pictures.rule_table`).
    """
    return dots(
        frame.rename(columns={"part": "method"}), "deviation", title=title, by="of", centre=0.0,
        xlabel="0: where a further re-trained model is expected; 1: its standard deviation",
        columns=3, sharex=True,
    )  # fmt: skip


def _greys(
    axis: Axes, part: pd.DataFrame, x: str, rows: str, names: list, bars: str | tuple[str, str]
) -> None:
    own = part[part.method == "Re-train"][x]
    if len(own):
        low, middle, high = own.min(), own.mean(), own.max()
        if bars == "quartiles":
            low, middle, high = own.quantile([0.25, 0.5, 0.75])
        label = "quartiles of the re-trained models" if bars == "quartiles" else RANGE
        axis.axvspan(low, high, color=FURTHER, lw=0, zorder=0, label=label)
        axis.axvline(middle, color=BAND, lw=1.5, zorder=0.1)
    else:
        known = part.groupby(rows).mean(numeric_only=True).reindex(index=names, columns=GREYS)
        known = known.set_axis(range(len(names))).set_axis(list(BOUNDS), axis=1)
        grey_bands(axis, known, along="rows", half=0.5 if rows == "method" else 0.32)


def _marks(
    axis: Axes, own: pd.DataFrame, x: str, at: int, bars: str | tuple[str, str], looks: list[dict]
) -> None:
    """One method's values in one row, and how each looks."""
    values, look, colors = own[x], looks[0], [its["color"] for its in looks]
    if bars == "quartiles":
        low, first, middle, third, high = values.quantile([0, 0.25, 0.5, 0.75, 1])
        axis.hlines(at, low, high, color=colors[0], lw=0.8)
        axis.hlines(at, first, third, color=colors[0], lw=3.5)
        axis.plot(middle, at, ms=8, mec="white", **look)
    elif bars == "range":
        small = {"color": colors[0], "marker": look["marker"], "alpha": 0.45, "lw": 0}
        axis.scatter(values, [at] * len(values), s=22, **small)
        axis.hlines(at, values.min(), values.max(), color=colors[0], lw=1.6)
        axis.plot(values.mean(), at, ms=8, **look)
    else:
        rows = at + 0.22 * (np.arange(len(own)) - (len(own) - 1) / 2)  # seeds stand apart
        if bars:
            axis.hlines(rows, own[bars[0]], own[bars[1]], colors=colors, lw=0.8)
        for value, row, its in zip(values, rows, looks, strict=True):
            axis.plot(value, row, ms=7.5 if len(own) == 1 else 4.5, **its)
