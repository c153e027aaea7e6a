"""Lines of one number over another: steps, settings, averages, and the band that grows."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rurklib.study.figures.curves import FLOOR, QUANTITIES
from rurklib.study.figures.scaffold import BOUNDS, RANGE, grey_bands, panel_names, panels, spread
from rurklib.study.figures.style import BAND, DOTTED, FURTHER, INK, LOOKS, style

AVERAGES = {
    "ratio_of_means": "ratio of means (what the paper plots)",
    "mean_of_ratios": "mean of ratios (what the paper defines)",
    "undefined_share": "samples without a ratio",
}


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
    sharey: bool = True,
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
        titles, by, y, sharey = y, "of", "value", False
    keys = panel_names(frame, by, titles)
    columns = min(3, len(keys))
    with panels(
        keys, title=title, xlabel=xlabel, ylabel=ylabel, size=(min(10.4 / columns, 5.2), 3.0),
        sharey=sharey,
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
                its = part[part[group] == name]
                look = {} if group == "method" else dict(LOOKS[k % len(LOOKS)])
                look |= {} if group in ("method", "line") else {"label": f"{group} {name}"}
                if len(its):
                    spread(axis, its, x, y, str(name), **look)
                if each:
                    axis.plot(its[x], its[y], ms=6, alpha=0.6, **{**look, "ls": "", "label": None})
            if "x" in log:
                values = sorted(frame[x].unique())
                axis.set_xscale("log")
                axis.set_xticks(values, [f"{v:g}" for v in values])
                axis.minorticks_off()
            if "y" in log:
                axis.set_yscale("log")
    return figure


def estimator_gap(frame: pd.DataFrame, *, title: str, unit: str) -> Figure:
    """Ratio of means and mean of ratios over tau, and beside them the share of samples without a
    ratio: mean over seeds and their range. ``frame`` has these columns (:data:`AVERAGES`)."""
    long = frame.melt(["tau"], list(AVERAGES), var_name="of")
    panel = long["of"].map({"undefined_share": "share of samples without a ratio"})
    long = long.assign(line=long["of"].map(AVERAGES), panel=panel.fillna("residual knowledge"))
    figure = lines(long, "tau", title=title, by="panel", group="line", xlabel=f"tau ({unit})",
                   sharey=False)  # fmt: skip
    top = max(figure.axes[1].get_ylim()[1], 0.1)
    figure.axes[1].set_ylim(-0.03 * top, top)
    return figure


def band_growth(
    alone: pd.DataFrame,
    fewer: pd.DataFrame,
    *,
    method: str,
    title: str,
    unit: str,
    quantity: str = "ratio_of_means",
) -> Figure:
    """Why one re-trained model is not enough. Left: the curve against each single reference. Right:
    the number at the largest tau and the bands for more and more references.

    ``alone`` has columns method, model, subset, tau and ``quantity``: of models of ``method`` and
    of Re-train, each against one reference. ``fewer`` is what
    ``rurklib.residual.against_reference_subsets`` gives for ``method``: lines are means over
    subsets, thin bars the 10 % ... 90 % of them. ``quantity`` is as in :func:`residual_curves`.
    """
    label, span, predict, target = QUANTITIES[quantity]
    assert span is not None  # of the references among themselves, even two
    last = fewer[fewer.tau == fewer.tau.max()].groupby("size")
    mean, least, most = last.mean(numeric_only=True), last.quantile(0.1), last.quantile(0.9)
    names = {"alone": "one reference: which one?", "more": "more references: the band settles"}
    with panels(
        names, title=title, size=(5.2, 3.4), ylabel=label,
        xlabel={"alone": f"tau ({unit})", "more": f"references, at tau {fewer.tau.max():g}"},
    ) as (figure, axes):  # fmt: skip
        left, right = axes.values()
        for name, width, alpha in (("Re-train", 0.5, 0.45), (method, 1.1, 0.9)):
            rows = alone[alone.method == name]
            for k, (_, curve) in enumerate(rows.groupby(["model", "subset"], sort=False)):
                look = {"color": style(name)["color"], "lw": width, "alpha": alpha}
                look["label"] = None if k else f"{name} against one reference"
                left.plot(curve.tau, curve[quantity], **look)
        bounds = mean.reindex(columns=[*span, *(predict or ("", ""))])
        grey_bands(right, bounds.set_axis(list(BOUNDS), axis=1))
        for column in (*span, *(predict or ()), quantity):
            color = style(method)["color"] if column == quantity else "#8a8a8a"
            right.vlines(mean.index, least[column], most[column], color=color, lw=1.1)
        right.plot(mean.index, mean[quantity], ms=6, lw=1.8, label=method, **style(method))
        right.set_xticks(list(mean.index))
        # A prediction from three references is so wide that it would flatten everything else.
        reach = 3 * (mean[[quantity, *span]] - target).abs().max(axis=None)
        reach = reach if reach > 0 else 0.1  # no spread, or nothing defined
        right.set_ylim(max(target - reach, FLOOR.get(quantity, -np.inf)), target + reach)
        for axis in (left, right):
            axis.axhline(target, **DOTTED)
    return figure


def roc(frame: pd.DataFrame, *, title: str) -> Figure:
    """How many forget samples are found, and how many held-out ones are accused for it: logarithmic
    axes, for few who are surely found count (Carlini et al., S&P 2022).

    ``frame`` has columns model, fpr and tpr, sorted by model and fpr; the first model is the one
    that is judged, the others are re-trained. Nobody accused stands at the left edge.
    """
    edge = frame.fpr[frame.fpr > 0].min() / 2
    with panels({"": ""}, title=title, size=(5.6, 4.0), xlabel="held-out samples accused (share)",
                ylabel="forget samples found (share)") as (figure, axes):  # fmt: skip
        axis = axes[""]
        axis.plot([edge, 1], [edge, 1], label="chance", **DOTTED)
        for k, (_, its) in enumerate(frame.groupby("model", sort=False)):
            look: dict[str, Any] = {"color": INK, "lw": 1.8, "zorder": 3, "label": "the model"}
            if k:
                label = None if k > 1 else "each re-trained model"
                look = {**style("Re-train"), "marker": "", "lw": 0.8, "label": label}
            found = [0.0, *its.tpr, 1.0]
            axis.step([edge, *its.fpr.clip(edge), 1.0], found, where="post", **look)
        axis.set(xscale="log", yscale="log", xlim=(edge, 1), ylim=(frame.tpr.min() / 2, 1.05))
    return figure
