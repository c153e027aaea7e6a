"""Charts of columns of a frame: rows of marks, lines, coloured tables, bars, histograms."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from rurklib.study.figures.style import (
    BAND,
    BOUNDS,
    COLD,
    DOTTED,
    FURTHER,
    INK,
    LOOKS,
    RANGE,
    WARM,
    WIDEST,
    found,
    grey_bands,
    method_axis,
    panel_names,
    panels,
    spread,
    style,
)

GREYS = ["null_low", "null_high", "predict_low", "predict_high"]
FULL = 8.0  # standard deviations at which a colour is full
BINS = 16  # of a histogram
CELL = 0.46  # inches, of an attack on a method
HEAT = LinearSegmentedColormap.from_list("heat", [COLD, "#ececec", WARM]).with_extremes(bad="white")


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
                row = part[part[rows] == name]
                if rows != "method":
                    axis.plot(row[x], [at] * len(row), color="#bbbbbb", lw=0.8, zorder=1)
                for method, own in row.groupby("method", sort=False):
                    look = style(str(method)) | {"label": None if rows == "method" else method}
                    judged = "verdict" in own and method != "Re-train"
                    looks = [found(v) if judged else look for v in own.get("verdict", own.method)]
                    _marks(axis, own, x, at, bars, [{**look, "ls": ""} for look in looks])
            if {"null_low", "predict_low"} <= set(frame):
                needed = frame[[x, "null_low", "null_high"]]
                low, high = needed.min(axis=None), needed.max(axis=None)
                axis.set_xlim(low - 0.15 * (high - low), high + 0.15 * (high - low))
        method_axis(axes[next(iter(keys))], [str(n) for n in names])
    return figure


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
        grey_bands(axis, known, half=0.5 if rows == "method" else 0.32)


def _marks(
    axis: Axes, own: pd.DataFrame, x: str, at: int, bars: str | tuple[str, str], looks: list[dict]
) -> None:
    """One method's values in one row, and how each looks."""
    values, look, colors = own[x], looks[0], [look["color"] for look in looks]
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
        for value, row, look in zip(values, rows, looks, strict=True):
            axis.plot(value, row, ms=7.5 if len(own) == 1 else 4.5, **look)


def lines(
    frame: pd.DataFrame,
    x: str,
    y: str | Mapping[str, str] = "value",
    *,
    title: str,
    by: str = "",
    titles: Mapping[Any, str] | None = None,
    group: str | Mapping[str, str] = "method",
    grey: Mapping[str, tuple[float, float]] | tuple[str, str, str] | None = None,
    xlabel: str = "",
    ylabel: str = "",
    log: str = "",
    each: bool = False,
) -> Figure:
    """``y`` over ``x``: a line for each value of ``group``, mean over seeds, their range as shade.

    Panels are those of several ``y`` (column: title), or of the values of the column ``by`` (in
    ``titles``: value: title). ``group`` is a column, or the columns (column: label) that are lines.
    Methods look as everywhere; re-trained models have their range in grey, or where they are no
    line, ``grey``: (lowest, highest) for each ``y``, or two columns that bound it and what
    it is. ``log``: which axes are logarithmic ("x", "y", "xy"). ``each`` marks every seed.
    """
    if isinstance(group, Mapping):
        frame = frame.melt(
            [c for c in frame if c not in group], var_name="line", value_name="value"
        )
        frame, group, y = frame.assign(line=frame.line.map(group)), "line", "value"
    if isinstance(y, Mapping):
        frame = frame.melt([c for c in frame if c not in y], var_name="of", value_name="value")
        titles, by, y = y, "of", "value"
    keys = panel_names(frame, by, titles)
    columns = min(3, len(keys))
    with panels(
        keys, title=title, xlabel=xlabel, ylabel=ylabel, size=(min(10.4 / columns, 5.2), 3.0),
        sharey=by != "of",
    ) as (figure, axes):  # fmt: skip
        for key, axis in axes.items():
            part = frame[frame[by] == key] if by else frame
            if isinstance(grey, tuple):
                band = part.groupby(x)[list(grey[:2])].first()
                axis.fill_between(
                    band.index, *band.to_numpy().T, color=FURTHER, lw=0, label=grey[2]
                )
            elif grey:
                axis.axhspan(*grey[key], color=BAND, lw=0, label=RANGE)
            for k, name in enumerate(frame[group].unique()):
                own = part[part[group] == name]
                look = {} if group == "method" else dict(LOOKS[k % len(LOOKS)])
                look |= {} if group in ("method", "line") else {"label": f"{group} {name}"}
                if len(own):
                    spread(axis, own, x, y, str(name), **look)
                if each:
                    axis.plot(own[x], own[y], ms=6, alpha=0.6, **{**look, "ls": "", "label": None})
            if "x" in log:
                values = sorted(frame[x].unique())
                axis.set_xscale("log")
                axis.set_xticks(values, [f"{v:g}" for v in values])
                axis.minorticks_off()
            if "y" in log:
                axis.set_yscale("log")
    return figure


def attack_heat(cells: pd.DataFrame, by: str, titles: Mapping[str, str], *, title: str) -> Figure:
    """A panel for each value of the column ``by``: attacks in rows, methods in columns; where these
    would be wider than a page, panels are below each other, attacks in columns.

    ``cells`` as :func:`rurklib.study.compare_runs` gives them, one for each panel, attack
    and method; ``titles`` names the panels shown. The number is how many seeds are outside the
    prediction for a further re-trained model, with + or - for the side (and /, where both occur).
    Colour: t, orange above the re-trained models, blue below. Grey: no seed is outside; white: not
    tried, or nothing can be said.
    """
    names = panel_names(cells, by, titles)
    stacked = 2.5 + CELL * len(names) * cells.method.nunique() > WIDEST
    down, across = ("method", "attack") if stacked else ("attack", "method")
    shown = cells[cells[by].isin(names)]
    shown = shown.assign(t=shown.t.where(shown.above + shown.below > 0, 0 * shown.t))
    rows, columns = (list(dict.fromkeys(shown[c])) for c in (down, across))
    beside = 1 if stacked else len(names)
    with panels(
        names, title=title, columns=beside, sharex=stacked, sharey=not stacked,
        size=(max(2.5 / beside + CELL * len(columns), 8.1 / beside), 0.9 + 0.25 * len(rows)),
    ) as (figure, axes):  # fmt: skip
        for name, axis in axes.items():
            image = _heat(axis, shown[shown[by] == name], down, across, rows, columns)
        shrink = 0.7 * beside / len(names)
        bar = figure.colorbar(image, ax=[*axes.values()], shrink=shrink, pad=0.01, extend="both")
        bar.set_label(
            "standard deviations of a\nfurther re-trained model; white: not known", fontsize=9
        )
        bar.outline.set_visible(False)  # type: ignore[operator]
    return figure


def _heat(
    axis: Axes, cells: pd.DataFrame, down: str, across: str, rows: list[str], columns: list[str]
) -> Any:
    """One panel: a coloured cell with its counts for each value of two columns."""
    t = cells.pivot(index=down, columns=across, values="t").reindex(index=rows, columns=columns)
    image = axis.imshow(np.ma.masked_invalid(t), cmap=HEAT, vmin=-FULL, vmax=FULL, aspect="auto")
    for cell in cells.itertuples():
        sides = [f"+{cell.above}"] * bool(cell.above) + [f"−{cell.below}"] * bool(cell.below)
        at = columns.index(getattr(cell, across)), rows.index(getattr(cell, down))
        axis.text(*at, "/".join(sides), ha="center", va="center", fontsize=8, color=INK)
    axis.set_xticks(range(len(columns)), columns, rotation=60, ha="right", fontsize=9)
    axis.set_yticks(range(len(rows)), rows, fontsize=9)
    axis.hlines(np.arange(1, len(rows)) - 0.5, -0.5, len(columns) - 0.5, color="white", lw=1)
    axis.vlines(np.arange(1, len(columns)) - 0.5, -0.5, len(rows) - 0.5, color="white", lw=1)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    return image


def outside_bars(shares: pd.DataFrame, halves: Mapping[str, str], *, title: str) -> Figure:
    """How much of all that was tried is outside: panels for scenarios (in rows) and statistics.

    ``shares`` as :func:`rurklib.study.share_outside` gives them, ``halves``
    names the statistics shown. Orange to the right: shares of attacks x seeds above the re-trained
    models; blue to the left: below. Dotted: what chance gives, one in forty either way.
    """
    shown = shares[shares.statistic.isin(halves)]
    scenarios, methods = (list(dict.fromkeys(shown[c])) for c in ("scenario", "method"))
    names = {(h, s): f"{s}: {text}" for h, text in halves.items() for s in scenarios}
    most = int(shown.attacks.max())
    with panels(
        names, title=title, columns=len(scenarios), sharex=True, sharey=True,
        size=(2.9, 0.6 + 0.21 * len(methods)),
        xlabel=f"% of up to {most} attacks x seeds\nbelow and above re-trained models",
    ) as (figure, axes):  # fmt: skip
        for (half, scenario), axis in axes.items():
            rows = shown[(shown.statistic == half) & (shown.scenario == scenario)]
            at = [methods.index(m) for m in rows.method]
            axis.barh(at, 100 * rows.above, color=WARM, height=0.75)
            axis.barh(at, -100 * rows.below, color=COLD, height=0.75)
            for row in set(range(len(methods))) - set(at):
                axis.text(5, row, "not tried", va="center", fontsize=7.5, color=INK)
            for x, line in ((0, "-"), (-2.5, ":"), (2.5, ":")):
                axis.axvline(x, **{**DOTTED, "ls": line})
        first = next(iter(axes.values()))
        method_axis(first, methods)
        first.set_xlim(-100, 100)
        first.set_xticks([-100, -50, 0, 50, 100], ["100", "50", "0", "50", "100"])
    return figure


def sample_histogram(groups: Mapping[str, np.ndarray], *, title: str, xlabel: str) -> Figure:
    """How a number is spread over samples: one row per group, on common bins.

    ``groups``: values [samples] of a method, or [models, samples]: the bar is then the mean count
    over models, the line over it their range. Values that are NaN (no ratio) are left out.
    """
    defined = np.concatenate([v[np.isfinite(v)] for v in map(np.atleast_2d, groups.values())])
    edges = np.linspace(defined.min(initial=0.999), defined.max(initial=1.001), BINS + 1)
    middle, width = (edges[1:] + edges[:-1]) / 2, 0.9 * np.diff(edges)
    with panels(
        {g: g for g in groups}, title=title, columns=1, size=(7.2, 1.5), xlabel=xlabel,
        ylabel="samples", sharex=True, sharey=True,
    ) as (figure, axes):  # fmt: skip
        for name, values in groups.items():
            models = [np.histogram(v[np.isfinite(v)], edges)[0] for v in np.atleast_2d(values)]
            axes[name].bar(middle, np.mean(models, 0), width, color=style(name)["color"], alpha=0.8)
            if len(models) > 1:
                axes[name].vlines(middle, np.min(models, 0), np.max(models, 0), color=INK, lw=1)
            axes[name].axvline(1, **DOTTED)
    return figure
