"""The picture of the front page: who recognises noisy copies of what it forgot, and how often."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rurklib.study.figures.curves import bands
from rurklib.study.figures.images import BAD, GOOD, grey, shown
from rurklib.study.figures.scaffold import grey_bands
from rurklib.study.figures.style import DOTTED, INK, canvas, style


def front_page(
    images: np.ndarray,
    copies: np.ndarray,
    said: Mapping[str, Sequence[bool]],
    retrained: np.ndarray,
    curves: pd.DataFrame,
    *,
    title: str,
    word: str,
    unit: str,
) -> Figure:
    """Forgotten images over a noisy copy of each and who recognises it; beside that the curves.

    ``images``, ``copies`` [n, channels, h, w] in [0, 1]. ``said``: by method, whether it recognises
    each copy; ``retrained`` [models, n]: the same of every re-trained model. ``curves``: rows of
    some methods, as :func:`rurklib.study.figures.residual_curves` takes them. ``word``: what one
    forgotten image is called.
    """
    figure, axes = canvas(width=8.6, height=4.2, mosaic=[["copies", "curves"]])
    figure.suptitle(title, x=0.01, ha="left", fontsize=11.5)
    _copies(axes["copies"], images, copies, said, retrained, word)
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


def _copies(
    axis: Axes,
    images: np.ndarray,
    copies: np.ndarray,
    said: Mapping[str, Sequence[bool]],
    retrained: np.ndarray,
    word: str,
) -> None:
    """One axes: a column an image, rows of pictures and of marks below each other."""
    n = len(images)
    for top, row in ((0.0, images), (1.0, copies)):
        for k, image in enumerate(row):
            box = (k + 0.05, k + 0.95, top + 0.95, top + 0.05)
            axis.imshow(shown(image), extent=box, **grey(row))
    rows = [("re-trained models", None), *said.items()]
    for line, (name, right) in enumerate(rows):
        at = 2.25 + 0.42 * line
        axis.text(-0.1, at, name, ha="right", va="center", fontsize=9.5, color=INK)
        for k in range(n):
            known = retrained[:, k].sum() if right is None else right[k]
            text = f"{known} of {len(retrained)}" if right is None else "✓" if known else "✗"
            color = INK if right is None else GOOD if known else BAD
            size = 9.5 if right is None else 13
            axis.text(k + 0.5, at, text, ha="center", va="center", fontsize=size, color=color)
    for at, name in ((0.5, f"forgotten {word}"), (1.5, "with noise")):
        axis.text(-0.1, at, name, ha="right", va="center", fontsize=9.5, color=INK)
    axis.set(xlim=(-1.75, n), ylim=(2.2 + 0.42 * len(rows), 0))
    axis.set_aspect("equal")
    axis.set_axis_off()
    axis.set_title(f"Who still says {word}?", fontsize=10.5, loc="left")
