"""Tables of colours, bars of shares, and histograms."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from rurklib.study.figures.scaffold import WIDEST, method_axis, panel_names, panels
from rurklib.study.figures.style import COLD, DOTTED, INK, WARM, style

FULL = 8.0  # standard deviations at which a colour is full
BINS = 16  # of a histogram
CELL = 0.46  # inches, of an attack on a method
HEAT = LinearSegmentedColormap.from_list("heat", [COLD, "#ececec", WARM]).with_extremes(bad="white")


def attack_heat(cells: pd.DataFrame, by: str, titles: Mapping[str, str], *, title: str) -> Figure:
    """A panel for each value of the column ``by``: attacks in rows, methods in columns; where these
    would be wider than a page, panels are below each other, attacks in columns.

    ``cells`` as :func:`rurklib.study.stages.attack_tables` gives them, one for each panel, attack
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

    ``shares`` as :func:`rurklib.study.stages.attack_tables.share_outside` gives them, ``halves``
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
            its = shown[(shown.statistic == half) & (shown.scenario == scenario)]
            at = [methods.index(m) for m in its.method]
            axis.barh(at, 100 * its.above, color=WARM, height=0.75)
            axis.barh(at, -100 * its.below, color=COLD, height=0.75)
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
