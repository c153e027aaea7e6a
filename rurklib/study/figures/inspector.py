"""The inspector's figures that follow a slider: drawn once, then changed in place.

Each has ``figure`` and ``update(view)``, which moves the artists and returns in words what there is
to see. They are as narrow as a phone and meant to stand beside or below each other. What they are
given is plain numbers with names, as :class:`rurklib.study.inspector.View` holds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.transforms import blended_transform_factory

from rurklib.study.figures.images import BAD, GOOD, grey, shown
from rurklib.study.figures.style import BAND, INK, canvas, style

WIDTH = 3.6  # inches at 100 dots: a phone's width


SMALL = 8.5  # points


COLUMNS, MOST = 15, 60  # thumbnails in a row, and in the picture


def fixed(figure: Figure, **margins: float) -> None:
    """Lay out once, by margins in inches: a layout engine would work at every draw."""
    width, height = figure.get_size_inches()
    figure.set_layout_engine(None)
    shares = {k: v / (height if k in ("top", "bottom") else width) for k, v in margins.items()}
    shares |= {k: 1 - shares[k] for k in ("right", "top") if k in shares}
    figure.subplots_adjust(**shares)


def heading(figure: Figure) -> Any:
    """A title of up to two lines in the corner, to be changed by ``set_text``."""
    return figure.text(0.01, 0.99, "", ha="left", va="top", fontsize=9.5, color=INK)


def at_edge(axis: Any) -> None:
    """Keep the y label at the figure's edge, however wide the numbers beside it become."""
    both = blended_transform_factory(axis.figure.transFigure, axis.transAxes)
    axis.yaxis.set_label_coords(0.055, 0.5, transform=both)


class Thumbnails:
    """Forget samples in their order, the one that is looked at framed."""

    def __init__(self, images: np.ndarray, order: Sequence[int], ratios: np.ndarray) -> None:
        """``images`` [n, c, h, w] in [0, 1]; ``order`` the samples; ``ratios`` [n], NaN: none."""
        self.images, self.order, self.ratios = images, list(order), ratios
        self._first = -1
        rows = -(-min(len(self.order), MOST) // COLUMNS)
        self.figure, self._axis = canvas(width=WIDTH, height=0.42 + 0.235 * rows)
        fixed(self.figure, left=0.03, right=0.03, bottom=0.03, top=0.4)
        self._axis.set_axis_off()
        self._title = heading(self.figure)
        self._frame = Rectangle((0, 0), 1, 1, fill=False, ec=BAD, lw=2.2, clip_on=False, zorder=5)

    def _page(self, first: int) -> None:
        """Put the thumbnails from ``first`` on into one picture."""
        page = [shown(self.images[s]) for s in self.order[first : first + MOST]]
        h, w = page[0].shape[:2]
        rows = -(-min(len(self.order), MOST) // COLUMNS)
        white = grey(self.images)["vmax"]
        tiles = np.full((rows * (h + 1), COLUMNS * (w + 1), *page[0].shape[2:]), white)
        for k, tile in enumerate(page):
            r, c = divmod(k, COLUMNS)
            tiles[r * (h + 1) : r * (h + 1) + h, c * (w + 1) : c * (w + 1) + w] = tile
        self._axis.clear()
        self._axis.set_axis_off()
        self._axis.imshow(tiles, **grey(self.images) | {"aspect": "equal"})
        self._frame.set_width(w + 1)
        self._frame.set_height(h + 1)
        self._axis.add_patch(self._frame)
        self._tile, self._first = (h + 1, w + 1), first

    def update(self, view: Any) -> str:
        """Frame the view's sample."""
        sample = view.sample
        rank = self.order.index(sample)
        if rank // MOST * MOST != self._first:
            self._page(rank // MOST * MOST)
        r, c = divmod(rank - self._first, COLUMNS)
        self._frame.set_xy((c * self._tile[1] - 1, r * self._tile[0] - 1))
        ratio = self.ratios[sample]
        known = "no ratio" if np.isnan(ratio) else f"ratio {ratio:.2f}"
        place = f"Number {rank + 1} of {len(self.order)} forget samples, {known}"
        self._title.set_text(f"{place}\n(by falling residual knowledge of Original)")
        return f"{place}, in order of Original's residual knowledge. It is sample {sample}."


class Copy:
    """Original image, perturbed copy, and their difference, magnified."""

    def __init__(self, view: Any, classes: Sequence[str]) -> None:
        self.classes = classes
        self.figure, axes = canvas(1, 3, width=WIDTH, height=1.85)
        fixed(self.figure, left=0.03, right=0.03, bottom=0.03, top=0.62)
        self.figure.subplots_adjust(wspace=0.05)
        image = shown(view.image)
        pictures = []
        for axis, name in zip(axes, ("forget image", "copy", "difference"), strict=True):
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_color("#999999")
            axis.set_title(name, fontsize=SMALL, loc="center", pad=3)
            look = grey(view.image[None])
            if name == "difference" and image.ndim == 2:
                look |= {"cmap": "PuOr_r", "vmin": -1, "vmax": 1}
            pictures.append(axis.imshow(image, **look))
        self._image, self._copy, self._difference = pictures
        self._titles = [axis.title for axis in axes]
        self._title = heading(self.figure)

    def update(self, view: Any) -> str:
        largest = float(np.abs(view.difference).max())
        times = magnification(largest)
        self._image.set_data(shown(view.image))
        self._copy.set_data(shown(view.copy))
        d = shown(view.difference) * times
        self._difference.set_data(d if d.ndim == 2 else np.clip(0.5 + d / 2, 0, 1))
        self._titles[2].set_text(f"difference x {times:g}" if largest else "no difference")
        far = ", ".join(f"{n} {v:.3g}" for n, v in view.distances.items())
        name = self.classes[view.truth]
        self._title.set_text(f"Class {name}; {view.perturbation}, tau {view.tau:g}\ndistance {far}")
        made = f"draw {view.draw} of {view.perturbation}, tau {view.tau:g}"
        if view.found_on:
            made += f", found on {view.found_on}"
        if view.perturbation.startswith("pgd"):
            made += f" in {view.steps} steps"
        return (
            f"Forget sample {view.sample} of class {name}, its copy ({made}) and their difference "
            f"times {times:g}. Distance: {far}."
        )


def room(names: Sequence[str]) -> float:
    """Inches to the left of an axis that the longest of its names needs."""
    return max(0.81, 0.1 + 0.08 * max(map(len, names)))


def magnification(largest: float) -> float:
    """1, 2, 5, 10, ...: the most that keeps the largest difference at 1 or below."""
    if largest <= 0:
        return 1.0
    steps = [m * 10.0**e for e in range(7) for m in (1, 2, 5)]
    return max((s for s in steps if s * largest <= 1), default=1.0)


class Probabilities:
    """A row of bars for each model, a bar for each class, the true class marked.

    The re-trained models share a row: bars are their mean, lines the range.
    """

    def __init__(self, view: Any, classes: Sequence[str]) -> None:
        self.classes, self.rows = classes, view.names
        rows, n = len(self.rows), len(classes)
        long = max(len(c) for c in classes) > 2
        below = 0.75 if long else 0.35
        self.figure, axis = canvas(width=WIDTH, height=0.75 + 0.29 * rows + below)
        fixed(self.figure, left=room(self.rows), right=0.72, bottom=below, top=0.72)
        axis.set(xlim=(-0.6, n - 0.4), ylim=(rows - 0.02, -0.02))
        axis.spines[:].set_visible(False)
        axis.tick_params(length=0, labelsize=SMALL)
        axis.set_yticks(np.arange(rows) + 0.6, self.rows)
        short = [c if len(c) < 10 else c[:9] + "." for c in classes]
        axis.set_xticks(
            np.arange(n), short, rotation=60 if long else 0, ha="right" if long else "center"
        )
        self._ticks = axis.get_xticklabels()
        self._truth = Rectangle((0, 0), 0.92, rows, color=BAND, alpha=0.55, lw=0, zorder=0)
        axis.add_patch(self._truth)
        axis.hlines(np.arange(1, rows + 1), -0.6, n - 0.4, color="#dddddd", lw=0.6, zorder=1)
        colors = [style(r)["color"] for r in self.rows for _ in range(n)]
        self._bars = PolyCollection([], facecolors=colors, edgecolors="#444444", linewidths=0.4)
        self._spread = LineCollection([], colors=INK, linewidths=1.3, zorder=4)
        axis.add_collection(self._bars, autolim=False)
        axis.add_collection(self._spread, autolim=False)
        self._said = [
            axis.text(n - 0.3, r + 0.62, "", fontsize=SMALL, va="center") for r in range(rows)
        ]
        self._head = axis.text(n - 0.3, -0.1, "", fontsize=SMALL, va="bottom", color="#555555")
        self._title = heading(self.figure)
        self._marked = -1

    def update(self, view: Any) -> str:
        y, name = view.truth, self.classes[view.truth]
        each = [view.row(r) for r in self.rows]
        mean = np.stack([p.mean(0) for p in each])  # [row, class]
        self._bars.set_verts(list(_bars(mean)))
        lines = [
            [(c, r + 1 - 0.86 * p[:, c].min()), (c, r + 1 - 0.86 * p[:, c].max())]
            for r, p in enumerate(each)
            if len(p) > 1
            for c in range(p.shape[1])
        ]
        self._spread.set_segments(lines)
        if self._marked != y:
            self._truth.set_x(y - 0.46)
            self._head.set_text(f"says {name if len(name) < 5 else 'y'}?")
            for c, tick in enumerate(self._ticks):
                tick.set_fontweight("bold" if c == y else "normal")
            self._marked = y
        right = dict(zip(view.models, view.recognised, strict=True))
        theirs = [right[r] for r in view.references]
        for text, row, p in zip(self._said, self.rows, mean[:, y], strict=True):
            share = np.mean(theirs) if row == "Re-train" else float(right[row])
            mark = f"{sum(theirs)}/{len(theirs)}" if row == "Re-train" else "✓" if share else "✗"
            text.set_text(f"{mark} {p:.2f}")
            text.set_color(GOOD if share >= 0.5 else BAD)
        methods = [r for r in self.rows if r not in ("Original", "Re-train")]
        yes = [m for m in methods if right[m]]
        does = ("says", "so do") if right["Original"] else ("does not say", "but")
        self._title.set_text(
            f"Original {does[0]} {name}, {does[1]} {sum(theirs)} of {len(theirs)} re-trained\n"
            f"and {len(yes)} of {len(methods)} unlearned models{'' if right['Original'] else ' do'}"
        )
        again = view.row("Re-train")[:, y]
        own = view.row("Original")[0, y]
        return (
            f"Probability of {name}: Original {own:.2f}, re-trained models {again.mean():.2f} on "
            f"average ({again.min():.2f} to {again.max():.2f}). It is the answer of "
            f"{'' if right['Original'] else 'not '}Original, {sum(theirs)} of {len(theirs)} "
            f"re-trained models and {', '.join(yes) or 'no unlearned model'}."
        )


def _bars(heights: np.ndarray) -> np.ndarray:
    """Corners of bars that stand on the foot of their row, [row * class, 4, 2]."""
    rows, n = heights.shape
    r, c = np.repeat(np.arange(rows), n), np.tile(np.arange(n), rows)
    top = r + 1 - 0.86 * heights.ravel()
    corners = [(c - 0.38, r + 1), (c - 0.38, top), (c + 0.38, top), (c + 0.38, r + 1)]
    return np.stack([np.stack([x, y + 0 * x], axis=-1) for x, y in corners], axis=1)
