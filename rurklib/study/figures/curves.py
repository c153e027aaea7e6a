"""Residual-knowledge curves over tau, with what re-trained models do among themselves."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rurklib.study.figures.images import who_knows
from rurklib.study.figures.style import (
    BOUNDS,
    CROWDED,
    DOTTED,
    HAIR,
    POINTWISE,
    canvas,
    found,
    grey_bands,
    panel_names,
    panels,
    spread,
    style,
)

# what it is, the references' range, the prediction interval, where nothing is left
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
    ``rurklib.study.measurement`` gives them. ``quantity`` is "ratio_of_means",
    "margin_difference", or "difference" where a whole class is forgotten; several stand beside each
    other. Greys are the :func:`bands` of re-trained models, for the samples that ``about`` names;
    the light one is pointwise, and says so: at *each* tau 95 of 100 further models are inside.
    Of a method with one model, bars are the 95 % interval of the ratio.

    Methods share a panel; more than six have one each, the others behind it as hair lines, and if
    there is a column ``verdict`` its look instead of their own. With ``by``, a column, there is a
    panel for each of its values (in ``titles``: value: title); ``unit``, of tau, may then be a
    mapping too. Panels share tau where they share its unit, and in a row their scale. A panel
    has room for its bands and shows up to eight times as much to either side of no residual
    knowledge; a curve beyond that leaves it.
    """
    quantities = [quantity] if isinstance(quantity, str) else list(quantity)
    methods = [m for m in frame.method.unique() if m != "Re-train"]
    each = not by and len(methods) > CROWDED
    names = {m: m for m in methods} if each else panel_names(frame, by, titles)
    keys = {(name, q): text for name, text in names.items() for q in quantities}
    alone = len(keys) % 5 == 1  # a panel that would stand in a row of its own
    columns = min(5 - alone if each else len(quantities) if len(quantities) > 1 else 3, len(keys))
    sharey = "col" if len(quantities) > 1 else each or "row"
    verdicts = frame.groupby("method").verdict.first() if each and "verdict" in frame else {}
    looks = {m: style(m) | (found(verdicts[m]) if m in verdicts else {}) for m in methods}
    label = QUANTITIES[quantities[0]][0] if len(quantities) == 1 else ""
    with panels(
        keys, title=title, columns=columns, about=about, ylabel=label,
        sharex=isinstance(unit, str), sharey=sharey,
        size=(min(10.6 / columns, 4.3), 2.4) if len(keys) > 1 else (7.2, 3.6),
        xlabel={k: f"tau ({unit if isinstance(unit, str) else unit[k[0]]})" for k in keys},
    ) as (figure, axes):  # fmt: skip
        limits = {}
        for (name, which), axis in axes.items():
            rows = frame[frame[by] == name] if by else frame
            drawn = [name] if each else [m for m in methods if m in set(rows.method)]
            look_of = {m: looks[m] for m in drawn}
            limits[axis] = _draw(axis, rows, which, look_of, methods if each else [])
            axis.set_ylabel("" if label else textwrap.fill(QUANTITIES[which][0], 24), fontsize=9)
        for axis in limits:
            alike = set(axis.get_shared_y_axes().get_siblings(axis)) & set(limits)
            low, high = zip(*(limits[a] for a in alike), strict=True)
            axis.set_ylim(min(low), max(high))
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
) -> tuple[float, float]:
    """The bands, ``others`` as hair lines and the curves of ``looks`` (method: look). Returns the
    limits that a panel needs."""
    null, target = bands(rows, quantity), QUANTITIES[quantity][3]
    grey_bands(axis, null, further=POINTWISE)
    axis.axhline(target, **DOTTED)
    for k, other in enumerate(others):
        mean = rows[rows.method == other].groupby("tau")[quantity].mean()
        axis.plot(mean.index, mean, color="#bbbbbb", lw=0.6, zorder=1, label=None if k else HAIR)
    points = [target]
    for method, look in looks.items():
        own = rows[rows.method == method]
        look = {"label": None if others else method, **look}
        curve = spread(axis, own, "tau", quantity, method, **look)
        points += [curve["min"].min(), curve["max"].max()]
        if quantity == "ratio_of_means" and "ratio_low" in own and own.tau.is_unique:
            bars = own.tau, own.ratio_low, own.ratio_high
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
    return low - margin, high + margin


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
    of Re-train, each against one reference. ``fewer``, with ``size`` too, is of ``method`` against
    subsets of so many references: lines are means over subsets, thin bars the 10 % ... 90 % of
    them. ``quantity`` is as in :func:`residual_curves`.
    """
    label, span, predict, target = QUANTITIES[quantity]
    assert span is not None  # of the references among themselves, even two
    last = fewer[fewer.tau == fewer.tau.max()].groupby("size")
    mean, least, most = last.mean(numeric_only=True), last.quantile(0.1), last.quantile(0.9)
    names = {"alone": "against one reference", "more": "against more and more references"}
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


def front_page(
    images: np.ndarray,
    copies: np.ndarray,
    answers: Mapping[str, np.ndarray],
    curves: pd.DataFrame,
    *,
    title: str,
    word: str,
    unit: str,
) -> Figure:
    """Forget images over a noisy copy of each and who recognises it; beside that the curves.

    ``images``, ``copies``, ``answers``, ``word``: see
    :func:`rurklib.study.figures.images.who_knows`. ``curves``: rows of some methods, as
    :func:`residual_curves` takes them.
    """
    figure, axes = canvas(width=8.6, height=4.2, mosaic=[["copies", "curves"]])
    figure.suptitle(title, x=0.01, ha="left", fontsize=11.5)
    who_knows(axes["copies"], images, copies, answers, word)
    axis, null = axes["curves"], bands(curves, "ratio_of_means")
    grey_bands(axis, null)
    tau, ends = null.index[-1], {}
    axis.plot([0, tau], [1, 1], **DOTTED)
    for method, rows in curves.groupby("method", sort=False):
        seeds = rows.groupby("tau").ratio_of_means
        mean, look = seeds.mean(), style(str(method))
        axis.plot(mean, lw=2, ms=6, **look)
        axis.fill_between(mean.index, seeds.min(), seeds.max(), color=look["color"], alpha=0.12)
        ends[f"{method} {mean.iloc[-1]:.2f}"] = mean.iloc[-1], look["color"]
    ends["re-trained models"] = null[["predict_low", "predict_high"]].iloc[-1].mean(), "#666666"
    step = 0.055 * np.diff(axis.get_ylim()).item()
    at = -np.inf
    for name, (end, color) in sorted(ends.items(), key=lambda item: item[1][0]):
        at = max(end, at + step)  # above each other, however near the curves end
        axis.text(1.03 * tau, at, name, va="center", fontsize=9.5, color=color)
    axis.set_xlim(-0.03 * tau, 1.62 * tau)
    axis.set_xticks([0, null.index[len(null) // 2], tau])
    axis.set_xlabel(f"tau, the noise in the copies ({unit})", fontsize=9.5, loc="left")
    axis.set_title("Residual knowledge (1: as re-trained models)", fontsize=10.5, loc="left")
    axis.spines[["top", "right"]].set_visible(False)
    return figure
