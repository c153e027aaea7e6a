"""The picture of the front page: who recognises noisy copies of what it forgot, and how often."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rurklib.study.figures.curves import bands
from rurklib.study.figures.images import who_knows
from rurklib.study.figures.scaffold import grey_bands
from rurklib.study.figures.style import DOTTED, canvas, style


def front_page(
    images: np.ndarray,
    copies: np.ndarray,
    said: Mapping[str, np.ndarray],
    curves: pd.DataFrame,
    *,
    title: str,
    word: str,
    unit: str,
) -> Figure:
    """Forgotten images over a noisy copy of each and who recognises it; beside that the curves.

    ``images``, ``copies``, ``said``, ``word``: see :func:`rurklib.study.figures.images.who_knows`.
    ``curves``: rows of some methods, as :func:`rurklib.study.figures.residual_curves` takes them.
    """
    figure, axes = canvas(width=8.6, height=4.2, mosaic=[["copies", "curves"]])
    figure.suptitle(title, x=0.01, ha="left", fontsize=11.5)
    who_knows(axes["copies"], images, copies, said, word)
    axis, null = axes["curves"], bands(curves, "ratio_of_means")
    grey_bands(axis, null)
    tau, names = null.index[-1], {}
    axis.plot([0, tau], [1, 1], **DOTTED)
    for method, rows in curves.groupby("method", sort=False):
        seeds = rows.groupby("tau").ratio_of_means
        mean, look = seeds.mean(), style(str(method))
        axis.plot(mean, lw=2, ms=6, **look)
        axis.fill_between(mean.index, seeds.min(), seeds.max(), color=look["color"], alpha=0.12)
        names[f"{method} {mean.iloc[-1]:.2f}"] = mean.iloc[-1], look["color"]
    names["re-trained models"] = null[["predict_low", "predict_high"]].iloc[-1].mean(), "#666666"
    step = 0.055 * np.diff(axis.get_ylim()).item()
    at = -np.inf
    for name, (end, color) in sorted(names.items(), key=lambda item: item[1][0]):
        at = max(end, at + step)  # above each other, however near the curves end
        axis.text(1.03 * tau, at, name, va="center", fontsize=9.5, color=color)
    axis.set_xlim(-0.03 * tau, 1.62 * tau)
    axis.set_xticks([0, null.index[len(null) // 2], tau])
    axis.set_xlabel(f"tau, the noise in the copies ({unit})", fontsize=9.5, loc="left")
    axis.set_title("Residual knowledge (1: as re-trained models)", fontsize=10.5, loc="left")
    axis.spines[["top", "right"]].set_visible(False)
    return figure
