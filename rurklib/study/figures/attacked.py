"""Attacks as figures: a heat table against re-trained models, distances, and membership."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rurklib.study.figures.style import BAND, FURTHER, INK, canvas, style

FULL = 8.0  # standard deviations at which a colour is full


def attack_heat(
    cells: pd.DataFrame, by: str, titles: Mapping[str, str], *, title: str, stacked: bool = False
) -> Figure:
    """A panel for each value of the column ``by``: attacks in rows, methods in columns; with
    ``stacked`` panels are below each other, attacks in columns.

    ``cells`` as :func:`rurklib.study.stages.attack_tables` gives them, one for each panel, attack
    and method; ``titles`` names the panels shown. The number is how many seeds are outside the
    prediction for a further re-trained model, with + or - for the side (and /, where both occur).
    Colour: t, orange above the re-trained models, blue below. Blank: no seed is outside, or nothing
    can be said.
    """
    names = [s for s in titles if s in set(cells[by])]
    shown = cells[cells[by].isin(names)]
    attacks, methods = (list(dict.fromkeys(shown[c])) for c in ("attack", "method"))
    rows, columns = (methods, attacks) if stacked else (attacks, methods)
    panels = (len(names), 1) if stacked else (1, len(names))
    figure, axes = canvas(
        *panels, width=max(2.9 + 0.46 * len(columns) * panels[1], 8.5),
        height=1.9 + (0.3 * len(rows) + 0.35 * stacked) * panels[0],
        squeeze=False, sharex=stacked, sharey=not stacked,
    )  # fmt: skip
    image = None
    for axis, name in zip(axes.flat, names, strict=True):
        part = shown[shown[by] == name]
        image = _heat(axis, part, *(("method", "attack") if stacked else ("attack", "method")),
                      rows=rows, columns=columns)  # fmt: skip
        axis.set_title(titles[name], loc="left", fontsize=10.5)
    bar = figure.colorbar(image, ax=axes, shrink=0.7 / panels[0], pad=0.01, aspect=30 / panels[0],
                          extend="both")  # fmt: skip
    bar.set_label("standard deviations of a further re-trained model", fontsize=9)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    return figure


def _heat(
    axis: Axes, cells: pd.DataFrame, down: str, across: str, *, rows: list[str], columns: list[str]
) -> Any:
    """One panel: a coloured cell with its counts for each value of two columns."""
    colors = sns.diverging_palette(245, 45, s=85, l=55, as_cmap=True).with_extremes(bad="#f4f4f4")
    shown = cells.assign(t=cells.t.where(cells.above + cells.below > 0))
    t = shown.set_index([down, across]).t.unstack().reindex(index=rows, columns=columns)
    image = axis.imshow(np.ma.masked_invalid(t), cmap=colors, vmin=-FULL, vmax=FULL, aspect="auto")
    for cell in cells.itertuples():
        said = "/".join(
            [f"+{cell.above}"] * bool(cell.above) + [f"−{cell.below}"] * bool(cell.below)
        )
        axis.text(columns.index(getattr(cell, across)), rows.index(getattr(cell, down)), said,
                  ha="center", va="center", fontsize=8, color=INK)  # fmt: skip
    axis.set_xticks(range(len(columns)), columns, rotation=60, ha="right", fontsize=9)
    axis.set_yticks(range(len(rows)), rows, fontsize=9)
    axis.set_xticks(np.arange(len(columns) - 1) + 0.5, minor=True)
    axis.set_yticks(np.arange(len(rows) - 1) + 0.5, minor=True)
    axis.grid(which="minor", color="white", lw=1)
    axis.tick_params(which="both", length=0)
    for side in axis.spines.values():
        side.set_visible(False)
    return image


def outside_bars(shares: pd.DataFrame, halves: Mapping[str, str], *, title: str) -> Figure:
    """How much of all that was tried is outside: panels for scenarios (in rows) and statistics.

    ``shares`` as :func:`rurklib.attacks.outside` gives them, ``halves`` names the statistics shown.
    Orange to the right: shares of attacks x seeds above the re-trained models; blue to the left:
    below. The dotted lines are what chance gives, one in forty either way.
    """
    shown = shares[shares.statistic.isin(halves)]
    scenarios, methods = (list(dict.fromkeys(shown[c])) for c in ("scenario", "method"))
    cold, warm = (sns.diverging_palette(245, 45, s=85, l=55, n=3)[k] for k in (0, 2))
    figure, axes = canvas(
        len(halves), len(scenarios), width=1.6 + 2.7 * len(scenarios),
        height=0.9 + len(halves) * (0.6 + 0.21 * len(methods)), sharex=True, sharey=True,
        squeeze=False,
    )  # fmt: skip
    for line, (statistic, said) in zip(axes, halves.items(), strict=True):
        for axis, scenario in zip(line, scenarios, strict=True):
            its = shown[(shown.statistic == statistic) & (shown.scenario == scenario)]
            at = [methods.index(m) for m in its.method]
            axis.barh(at, 100 * its.above, color=warm, height=0.75)
            axis.barh(at, -100 * its.below, color=cold, height=0.75)
            axis.axvline(0, color="#555555", lw=0.8)
            for chance in (-2.5, 2.5):
                axis.axvline(chance, color="#555555", lw=0.8, ls=":")
            axis.set_title(f"{scenario}: {said}", loc="left", fontsize=9.5)
            axis.spines[["top", "right"]].set_visible(False)
    for axis in axes[:, 0]:
        axis.set_yticks(range(len(methods)), methods, fontsize=9)
    axes[0, 0].set_ylim(len(methods) - 0.4, -0.6)
    axes[0, 0].set_xlim(-100, 100)
    axes[0, 0].set_xticks([-100, -50, 0, 50, 100], ["100", "50", "0", "50", "100"])
    figure.supxlabel(
        f"% of up to {int(shown.attacks.max())} attacks x seeds below (left) and above (right) "
        "what a further re-trained model shows",
        fontsize=9.5,
    )
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    return figure


def distance_strips(frame: pd.DataFrame, parts: Sequence[str], *, title: str, label: str) -> Figure:
    """Signed distances, a panel for each part: quartiles and range of every method's samples.

    ``frame`` has the columns part, method and distance. Grey: the re-trained models' quartiles.
    """
    methods = list(dict.fromkeys(frame.method))
    figure, axes = canvas(
        1, len(parts), width=3.1 * len(parts) + 1.2, height=1.2 + 0.32 * len(methods), sharey=True,
        sharex=True, squeeze=False,
    )  # fmt: skip
    for axis, part in zip(axes[0], parts, strict=True):
        its = frame[frame.part == part]
        q = its.groupby("method").distance.quantile([0, 0.25, 0.5, 0.75, 1]).unstack()
        if "Re-train" in q.index:
            axis.axvspan(q.loc["Re-train", 0.25], q.loc["Re-train", 0.75], color=FURTHER, lw=0)
            axis.axvline(q.loc["Re-train", 0.5], color=BAND, lw=1.5)
        axis.axvline(0, color="#555555", lw=0.8, ls=":")
        for row, method in enumerate(methods):
            low, first, middle, third, high = q.loc[method]
            look = style(method)
            axis.plot([low, high], [row, row], color=look["color"], lw=0.8)
            axis.plot([first, third], [row, row], color=look["color"], lw=3.5,
                      solid_capstyle="butt")  # fmt: skip
            axis.plot(middle, row, ms=8, mec="white", **look)
        axis.set_title(part, loc="left", fontsize=10.5)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_yticks(range(len(methods)), methods)
    axes[0, 0].set_ylim(len(methods) - 0.4, -0.6)
    figure.supxlabel(label, fontsize=10.5)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    return figure


def membership_dots(
    frame: pd.DataFrame, titles: Mapping[str, str], attacks: Sequence[str], *, title: str
) -> Figure:
    """A statistic in each row of panels, an attack in each column: a mark for each method's seed.

    ``frame`` is a run's table of attacks: attack, statistic, method, seed, value, low, high,
    reference, predict_low and predict_high. Bars: 95 % over samples. Grey: where a further
    re-trained model would fall.
    """
    methods = list(dict.fromkeys(frame.method))
    figure, axes = canvas(
        len(titles), len(attacks), width=2.3 * len(attacks) + 1.4,
        height=0.9 + len(titles) * (0.6 + 0.24 * len(methods)), sharey=True, sharex="row",
        squeeze=False,
    )  # fmt: skip
    for line, (statistic, said) in zip(axes, titles.items(), strict=True):
        for axis, attack in zip(line, attacks, strict=True):
            part = frame[(frame.statistic == statistic) & (frame.attack == attack)]
            if part.predict_low.notna().any():
                axis.axvspan(max(0, part.predict_low.mean()), min(1, part.predict_high.mean()),
                             color=FURTHER, lw=0)  # fmt: skip
            axis.axvline(part.reference.mean(), color=BAND, lw=1.5)
            for row, method in enumerate(methods):
                its = part[part.method == method].sort_values("seed")
                for k, one in enumerate(its.itertuples()):
                    at = row + (k - (len(its) - 1) / 2) * 0.22
                    look = style(method)
                    axis.plot([one.low, one.high], [at, at], color=look["color"], lw=0.8)
                    axis.plot(one.value, at, ms=4.5, **look)
            axis.set_xlabel(said, fontsize=9)
            axis.spines[["top", "right"]].set_visible(False)
    for axis, attack in zip(axes[0], attacks, strict=True):
        axis.set_title(attack, loc="left", fontsize=10.5)
    axes[0, 0].set_yticks(range(len(methods)), methods, fontsize=9)
    axes[0, 0].set_ylim(len(methods) - 0.4, -0.6)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    return figure


def step_curves(
    frame: pd.DataFrame,
    by: str,
    titles: Mapping[str, str],
    *,
    x: str,
    y: str,
    xlabel: str,
    ylabel: str,
    title: str,
    log: bool = False,
) -> Figure:
    """Curves of ``y`` over ``x``, a panel for each value of ``by``: a line for each method, its
    mean over seeds and their range; the re-trained models' range in grey, their mean a line.
    ``log``: y on a log scale."""
    names = [n for n in titles if n in set(frame[by])]
    width = max(3.6 * len(names) + 1.2, 7.2)
    figure, axes = canvas(1, len(names), width=width, height=3.6, sharey=True, squeeze=False)
    for axis, name in zip(axes[0], names, strict=True):
        part = frame[frame[by] == name]
        for method in dict.fromkeys(part.method):
            line = part[part.method == method].groupby(x)[y].agg(["mean", "min", "max"])
            look = style(method)
            grey = method == "Re-train"
            axis.fill_between(line.index, line["min"], line["max"], lw=0,
                              color=FURTHER if grey else look["color"],
                              alpha=1.0 if grey else 0.12)  # fmt: skip
            axis.plot(line.index, line["mean"], ms=5, lw=1.6, label=method, **look)
        axis.set_title(titles[name], loc="left", fontsize=10.5)
        axis.set_xlabel(xlabel, fontsize=9.5)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel(ylabel, fontsize=9.5)
    if log:
        axes[0, 0].set_yscale("log")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower left",
        ncols=int(width // 1.6),
        frameon=False,
        fontsize=9,
    )
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    return figure
