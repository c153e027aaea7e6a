"""Why one re-trained model is not enough: the ratio against each alone, and the band that grows."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from rurklib.study.figures.curves import QUANTITIES
from rurklib.study.figures.style import BAND, FURTHER, canvas, style


def band_growth(
    alone: pd.DataFrame,
    fewer: pd.DataFrame,
    *,
    method: str,
    title: str,
    unit: str,
    quantity: str = "ratio_of_means",
) -> Figure:
    """Left: the curve against each single reference. Right: the number at the largest tau and the
    bands for more and more references.

    ``alone`` has columns method, model, subset, tau and ``quantity``: of models of ``method`` and
    of Re-train, each against one reference. ``fewer`` is what ``rurklib.residual.against_fewer``
    gives for ``method``: lines are means over subsets, thin bars the 10 % ... 90 % of them.
    ``quantity`` is as in :func:`residual_curves`.
    """
    ylabel, span, predict, target = QUANTITIES[quantity]
    assert span is not None  # of the references among themselves, even two
    figure, (left, right) = canvas(1, 2, width=11, height=4.6)
    for name, width, alpha in (("Re-train", 0.5, 0.45), (method, 1.1, 0.9)):
        rows = alone[alone.method == name]
        for i, (_, curve) in enumerate(rows.groupby(["model", "subset"], sort=False)):
            label = f"{name} against one re-trained model" if i == 0 else None
            left.plot(curve.tau, curve[quantity], color=style(name)["color"], lw=width,
                      alpha=alpha, label=label)  # fmt: skip
    left.axhline(target, color="#555555", lw=0.8, ls=":")
    left.set(xlabel=f"tau ({unit})", ylabel=ylabel)
    left.set_title("one reference: which one?", loc="left", fontsize=10.5)
    left.legend(frameon=False, fontsize=9, loc="best")
    last = fewer[fewer.tau == fewer.tau.max()].groupby("size")
    mean = last.mean(numeric_only=True)
    for columns, color, words in (
        (predict, FURTHER, "a further one, 95 % (from 3)"),
        (span, BAND, "range of the re-trained models"),
    ):
        if columns is None:
            continue
        right.fill_between(mean.index, *(mean[c] for c in columns), color=color, lw=0, label=words)
        for column in columns:
            low, high = last[column].quantile(0.1), last[column].quantile(0.9)
            right.vlines(mean.index, low, high, color="#8a8a8a", lw=1)
    low, high = last[quantity].quantile(0.1), last[quantity].quantile(0.9)
    right.vlines(mean.index, low, high, color=style(method)["color"], lw=1.2)
    right.plot(mean.index, mean[quantity], ms=6, lw=1.8, label=method, **style(method))
    right.axhline(target, color="#555555", lw=0.8, ls=":")
    right.set_xticks(list(mean.index))
    right.set(xlabel="re-trained references", ylabel=f"the same at tau {fewer.tau.max():g}")
    right.set_title("more references: the band settles", loc="left", fontsize=10.5)
    # A prediction from three references is so wide that it would flatten everything else.
    shown = pd.concat([mean[quantity], *(mean[c] for c in span)])
    reach = 3 * (shown - target).abs().max()
    reach = reach if reach > 0 else 0.1  # no spread, or nothing defined
    right.set_ylim(target - reach, target + reach)
    right.legend(frameon=False, fontsize=9, loc="lower right")
    for axis in (left, right):
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    return figure
