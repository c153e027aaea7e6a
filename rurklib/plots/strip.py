"""A strip of images: a forget image, its perturbed copies, and what each model calls them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from rurklib.plots.style import canvas

GOOD, BAD = "#0173b2", "#a8431f"  # recognised / not: also told by the marks, not by colour alone


def copies_strip(
    images: np.ndarray,
    answers: Sequence[tuple[str, np.ndarray]],
    truth: int,
    column_titles: Sequence[str],
    *,
    classes: Sequence[str],
    title: str,
) -> Figure:
    """Images [columns, (channels,) h, w] in [0, 1] over the answers of several models.

    ``answers`` holds (name, predicted class [columns]) for each model; a recognised copy (its
    class is ``truth``) gets a tick, another the class that the model said.
    """
    columns = len(images)
    figure, axes = canvas(
        1 + len(answers), columns, width=1.15 * columns + 1.3, height=1.5 + 0.34 * len(answers),
        gridspec_kw={"height_ratios": [4] + [1] * len(answers)}, squeeze=False,
    )  # fmt: skip
    for i, image in enumerate(images):
        shown = np.moveaxis(image, 0, -1).squeeze()
        axes[0, i].imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        axes[0, i].set_title(column_titles[i], fontsize=9, loc="center")
    for row, (name, said) in enumerate(answers, start=1):
        axes[row, 0].text(-0.2, 0.5, name, ha="right", va="center", fontsize=9)
        for i in range(columns):
            right = said[i] == truth
            text = f"✓ {classes[truth]}" if right else f"✗ {classes[said[i]]}"
            color = GOOD if right else BAD
            axes[row, i].text(0.5, 0.5, text, ha="center", va="center", color=color, fontsize=10)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    return figure


def image_rows(
    rows: Mapping[str, np.ndarray],
    *,
    title: str,
    captions: Mapping[str, Sequence[str]] | None = None,
) -> Figure:
    """Rows of images [n, (channels,) h, w] in [0, 1], each row with its name; ``captions``: a word
    below each image of a row."""
    columns = max(len(images) for images in rows.values())
    each = 0.85 if captions is None else 1.05
    figure, axes = canvas(
        len(rows), columns, width=0.8 * columns + 1.5, height=0.55 + each * len(rows), squeeze=False
    )
    for axis in axes.flat:
        axis.set_axis_off()
    for row, (name, images) in zip(axes, rows.items(), strict=True):
        row[0].text(-0.15, 0.5, name.replace(" (", "\n("), ha="right", va="center", fontsize=9,
                    transform=row[0].transAxes)  # fmt: skip
        for axis, image in zip(row, images, strict=False):
            shown = np.moveaxis(image, 0, -1).squeeze()
            axis.imshow(shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        for axis, words in zip(row, (captions or {}).get(name, ()), strict=False):
            axis.text(0.5, -0.06, words, ha="center", va="top", fontsize=9,
                      transform=axis.transAxes)  # fmt: skip
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    return figure
