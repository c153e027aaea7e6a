"""Images: rows of them; forget samples over noisy copies, and which models recognise those.

What is no image is shown as numbers in grey: a row of them as bars, a text as a column a word.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rurklib.study.figures.style import INK, canvas

GOOD, BAD = "#0173b2", "#a8431f"  # recognised / not: also told by the marks, not by colour alone
MARKS = 3  # models that have a mark each; more are counted


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


def who(
    images: np.ndarray,
    copies: np.ndarray,
    answers: Mapping[str, np.ndarray],
    *,
    title: str,
    word: str,
) -> Figure:
    """Forget images over a noisy copy of each, and below who recognises it: :func:`who_knows` as a
    figure."""
    row = 0.42 if len(answers) < 8 else 0.3
    wide, high = len(images) + 1.75, 2.4 + row * len(answers)
    figure, axis = canvas(width=max(0.72 * wide, 5.0), height=0.72 * high + 0.5)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11.5, wrap=True)
    who_knows(axis, images, copies, answers, word, row)
    return figure


def who_knows(
    axis: Axes,
    images: np.ndarray,
    copies: np.ndarray,
    answers: Mapping[str, np.ndarray],
    word: str,
    row: float = 0.42,
) -> None:
    """One axes, a column an image: the image, a noisy copy of it, and who says its class.

    ``images``, ``copies`` [n, channels, h, w] in [0, 1], or other inputs. ``answers`` has a line
    for each name: bool [models, n], whether a model is right on a copy, a mark for each model or,
    of more than three, how many are; or words [n]. ``word``: what an image is called.
    """
    n = len(images)

    def name(at: float, text: str) -> None:
        axis.text(-0.1, at, text, ha="right", va="center", fontsize=9.5, color=INK)

    for top, text, line in ((0.0, f"to forget: {word}", images), (1.0, "with noise", copies)):
        name(top + 0.5, text)
        for k, image in enumerate(line):
            box = (k + 0.05, k + 0.95, top + 0.95, top + 0.05)
            axis.imshow(shown(image), extent=box, **grey(line))
    places = 2.25 + row * np.arange(len(answers))
    for at, (text, cells) in zip(places, answers.items(), strict=True):
        name(at, text)
        for k, cell in enumerate(np.asarray(cells).T):
            mark, color, size = _cell(cell)
            axis.text(k + 0.5, at, mark, ha="center", va="center", fontsize=size, color=color)
    axis.set(xlim=(-1.75, n), ylim=(2.2 + row * len(answers), 0))
    axis.set_aspect("equal")
    axis.set_axis_off()
    axis.set_title(f"Who still says {word}?", fontsize=10.5, loc="left")


def _cell(known: Any) -> tuple[str, str, float]:
    """What stands below a copy, its colour and its size: a word, marks, or how many are right."""
    if known.dtype.kind == "U":
        return str(known), INK, 9.5
    if len(known) > MARKS:
        return f"{known.sum()} of {len(known)}", INK, 9.5
    color = GOOD if known.all() else INK if known.any() else BAD
    return "".join("✓" if k else "✗" for k in known), color, 13 if len(known) == 1 else 10.5


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
        line[0].text(-0.18, 0.5, name.replace(" (", "\n("), ha="right", va="center", fontsize=9,
                     transform=line[0].transAxes)  # fmt: skip
        for axis, image in zip(line, images, strict=False):  # places that are left over are empty
            axis.imshow(shown(image), **grey(images))
        for axis, caption in zip(line, (captions or {}).get(name, ()), strict=False):
            axis.text(0.5, -0.06, caption, ha="center", va="top", fontsize=9,
                      transform=axis.transAxes)  # fmt: skip
    for axis in axes.flat:
        axis.set_axis_off()
    return figure
