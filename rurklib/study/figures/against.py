"""One model against re-trained ones: ratio and margin over tau, the controls below it."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rurklib.study.figures.style import BAND, canvas

COLORS = {"forget set": "#d55e00", "held out": "#0173b2", "retained": "#029e73"}


MARKERS = {"forget set": "o", "held out": "s", "retained": "^"}


# column, its interval, its prediction band, where nothing is left
RATIO = ("ratio_of_means", ("ratio_low", "ratio_high"), ("predict_low", "predict_high"), 1.0)


MARGIN = ("margin_difference", None, ("margin_predict_low", "margin_predict_high"), 0.0)


DIFFERENCE = (
    "difference", None, ("null_difference_low", "null_difference_high"), 0.0,
)  # fmt: skip


LABELS = {
    "ratio_of_means": "residual knowledge",
    "margin_difference": "margin difference (logits)",
    "difference": "Pr[m(x') = y] - Pr[a(x') = y]",
}


def against_references(
    frame: pd.DataFrame,
    controls: pd.DataFrame | None = None,
    *,
    title: str,
    unit: str = "units of the input",
) -> Figure:
    """Residual knowledge and margin of one model over tau, for the forget set and each control.

    ``frame`` is a ``ResidualKnowledge.frame`` of one model, ``controls`` its ``.controls``. Bars:
    95 % interval of the ratio. Grey: the 95 % prediction for a further re-trained model on the same
    samples (none with fewer than three references). Rows share their scales, so that a control that
    moves as much as the forget set is seen to. Where no ratio is defined, the difference of
    accuracies is drawn instead, over the range of the references' own.
    """
    rows = {"forget set": frame}
    if controls is not None and len(controls):
        rows |= {str(n): part for n, part in controls.groupby("control", sort=False)}
    defined = any(part.ratio_of_means.notna().any() for part in rows.values())
    panels = [RATIO if defined else DIFFERENCE, MARGIN]
    figure, axes = canvas(
        len(rows), 2, width=9, height=1.1 + 2.5 * len(rows), squeeze=False, sharex=True,
        sharey="col",
    )  # fmt: skip
    for line, (name, part) in zip(axes, rows.items(), strict=True):
        for axis, panel in zip(line, panels, strict=True):
            _curve(axis, part, panel, COLORS.get(name, "#222222"), MARKERS.get(name, "D"))
            axis.set_ylabel(LABELS[panel[0]])
        line[0].set_title(name, loc="left", fontweight="bold")
    axes[0, 1].set_title("grey: a further re-trained model, 95 %", loc="right", fontsize=9.5,
                         color="#6b6b6b")  # fmt: skip
    for axis in axes[-1]:
        axis.set_xlabel(f"tau ({unit})")
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    return figure


def _curve(axis: Axes, part: pd.DataFrame, panel: tuple, color: str, marker: str) -> None:
    column, interval, (low, high), target = panel
    part = part.sort_values("tau")
    axis.fill_between(part.tau, part[low], part[high], color=BAND, alpha=0.8, lw=0)
    axis.axhline(target, color="#555555", lw=0.8, ls=":")
    if interval:
        bars = [(part[column] - part[interval[0]]), (part[interval[1]] - part[column])]
        axis.errorbar(part.tau, part[column], yerr=[b.clip(lower=0) for b in bars], fmt="none",
                      ecolor=color, elinewidth=1.4, capsize=2.5)  # fmt: skip
    axis.plot(part.tau, part[column], color=color, marker=marker, ms=5.5, lw=1.8)
    axis.spines[["top", "right"]].set_visible(False)
