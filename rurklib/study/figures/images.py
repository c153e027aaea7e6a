"""A strip of images: a forget image, its perturbed copies, and what each model calls them.

What is no image is shown as numbers in grey: a row of them as bars, a text as a column a word.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from rurklib.study.figures.style import canvas

GOOD, BAD = "#0173b2", "#a8431f"  # recognised / not: also told by the marks, not by colour alone


def shown(image: np.ndarray) -> np.ndarray:
    """[c, h, w] as matplotlib takes it: [h, w] of one channel, else [h, w, 3]. Embedded words
    [dim, length] stay, and a few numbers become one row."""
    if image.ndim < 3:
        return np.atleast_2d(image)
    return image[0] if len(image) == 1 else np.moveaxis(image[:3], 0, -1)


def grey(images: np.ndarray) -> dict[str, Any]:
    """How ``imshow`` is to show images: pixels in [0, 1] from black to white; other numbers from
    the smallest possible to the largest, 0 in the middle; what is no image fills its place."""
    images = np.asarray(images)
    pixels = not images.size or (images.min() >= 0 and images.max() <= 1)
    far = 1.0 if pixels else float(np.abs(images).max())
    look = {"cmap": "gray", "vmin": 0 if pixels else -far, "vmax": far, "interpolation": "nearest"}
    return look | {"aspect": "equal" if images[0].ndim > 2 else "auto"}


def copies_strip(
    images: np.ndarray,
    answers: Sequence[tuple[str, np.ndarray]],
    truth: int,
    column_titles: Sequence[str],
    *,
    classes: Sequence[str],
    title: str,
) -> Figure:
    """Images [columns, channels, h, w] in [0, 1], or other inputs, over the answers of models.

    ``answers`` holds (name, predicted class [columns]) for each model; a recognised copy (its
    class is ``truth``) gets a tick, another the class that the model said.
    """
    columns, rows = len(images), len(answers)
    figure, axes = canvas(
        1 + rows, columns, width=1.15 * columns + 1.3, height=1.5 + 0.34 * rows,
        gridspec_kw={"height_ratios": [4] + [1] * rows}, squeeze=False,
    )  # fmt: skip
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, wrap=True)
    _row(axes[0], "", images)
    for axis, text in zip(axes[0], column_titles, strict=True):
        axis.set_title(text, fontsize=9, loc="center")
    for line, (name, said) in zip(axes[1:], answers, strict=True):
        _row(line, name, ())
        for axis, answer in zip(line, said, strict=True):
            mark, color = ("✓", GOOD) if answer == truth else ("✗", BAD)
            axis.text(0.5, 0.5, f"{mark} {classes[answer]}", ha="center", va="center", color=color)
    return figure


def image_rows(
    rows: Mapping[str, np.ndarray],
    *,
    title: str,
    captions: Mapping[str, Sequence[str]] | None = None,
) -> Figure:
    """Rows of images [n, channels, h, w] in [0, 1] (or of other inputs), each row with its name;
    ``captions``: a word below each image of a row."""
    columns, each = max(map(len, rows.values())), 0.85 if captions is None else 1.05
    figure, axes = canvas(
        len(rows), columns, width=0.8 * columns + 1.5, height=0.55 + each * len(rows), squeeze=False
    )
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, wrap=True)
    for line, (name, images) in zip(axes, rows.items(), strict=True):
        _row(line, name.replace(" (", "\n("), images)
        for axis, words in zip(line, (captions or {}).get(name, ()), strict=False):
            axis.text(0.5, -0.06, words, ha="center", va="top", fontsize=9,
                      transform=axis.transAxes)  # fmt: skip
    return figure


def _row(axes: np.ndarray, name: str, images: Any) -> None:
    """A name, and images side by side, the places that are left over empty."""
    axes[0].text(-0.18, 0.5, name, ha="right", va="center", fontsize=9,
                 transform=axes[0].transAxes)  # fmt: skip
    for axis in axes:
        axis.set_axis_off()
    for axis, image in zip(axes, images, strict=False):
        axis.imshow(shown(image), **grey(images))
