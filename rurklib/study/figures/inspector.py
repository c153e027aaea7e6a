"""The inspector's figures that follow a slider: drawn once, then changed in place.

Each has ``figure`` and ``update(view)``, which moves the artists and sets the title: what is drawn.
They are as narrow as a phone and meant to stand beside or below each other. What they are
given is plain numbers with names, as :class:`rurklib.study.inspector.View` holds them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from matplotlib.transforms import blended_transform_factory

from rurklib.study.figures.images import BAD, GOOD, grey, shown
from rurklib.study.figures.style import BAND, DOTTED, INK, canvas, style

WIDTH, SMALL = 3.6, 8.5  # inches at 100 dots: a phone's width; points


def narrow(
    columns: int, height: float, *, left: float, right: float, bottom: float, top: float
) -> tuple[Figure, Any, Text]:
    """A figure as wide as a phone, its axes, and a title of up to two lines, for ``set_text``. Laid
    out once, by margins in inches: a layout engine would work at every draw."""
    figure, axes = canvas(1, columns, width=WIDTH, height=height)
    figure.set_layout_engine(None)
    figure.subplots_adjust(left / WIDTH, bottom / height, 1 - right / WIDTH, 1 - top / height, 0.05)
    look = {"ha": "left", "va": "top", "fontsize": 9.5, "color": INK}
    return figure, axes, figure.suptitle("", x=0.01, y=0.99, **look)


class Copy:
    """Original image, perturbed copy, and their difference, magnified."""

    def __init__(self, view: Any, classes: Sequence[str]) -> None:
        self.classes = classes
        self.figure, axes, self._title = narrow(
            3, 1.85, left=0.03, right=0.03, bottom=0.03, top=0.62
        )
        image, look = shown(view.image), grey(view.image[None])
        signed = look | ({"cmap": "PuOr_r", "vmin": -1, "vmax": 1} if image.ndim == 2 else {})
        for axis, name in zip(axes, ("forget image", "copy", "difference"), strict=True):
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_color("#999999")
            axis.set_title(name, fontsize=SMALL, loc="center", pad=3)
        self._image, self._copy, self._difference = (
            axis.imshow(image, **kind)
            for axis, kind in zip(axes, (look, look, signed), strict=True)
        )
        self._times = axes[2].title

    def update(self, view: Any) -> None:
        """Show the view's image and copy."""
        largest = float(np.abs(view.difference).max())
        times = magnification(largest)
        self._image.set_data(shown(view.image))
        self._copy.set_data(shown(view.copy))
        d = shown(view.difference) * times
        self._difference.set_data(d if d.ndim == 2 else np.clip(0.5 + d / 2, 0, 1))
        self._times.set_text(f"difference x {times:g}" if largest else "no difference")
        far = ", ".join(f"{n} {v:.3g}" for n, v in view.distances.items())
        name = self.classes[view.truth]
        made = f"Class {name}; {view.perturbation}, tau {view.tau:g}"
        self._title.set_text(f"{made}\ndistance {far}")


def room(names: Sequence[str]) -> float:
    """Inches to the left of an axis that the longest of its names needs."""
    return max(0.81, 0.1 + 0.08 * max(map(len, names)))


def magnification(largest: float) -> float:
    """1, 2, 5, 10, ...: the most that keeps the largest difference at 1 or below."""
    steps = [m * 10.0**e for e in range(7) for m in (1, 2, 5)]
    return max((s for s in steps if 0 < s * largest <= 1), default=1.0)


class Probabilities:
    """A row of bars for each model, in colour by whether it says the true class, which is marked.

    The re-trained models share a row: bars are their mean, lines the range.
    """

    def __init__(self, view: Any, classes: Sequence[str]) -> None:
        self.classes, self.rows = classes, view.names
        rows, n = len(self.rows), len(classes)
        long = max(map(len, classes)) > 2
        below = 0.75 if long else 0.35
        self.figure, axis, self._title = narrow(
            1, 0.75 + 0.29 * rows + below, left=room(self.rows), right=0.72, bottom=below, top=0.72
        )
        axis.set(xlim=(-0.6, n - 0.4), ylim=(rows - 0.02, -0.02))
        axis.spines[:].set_visible(False)
        axis.tick_params(length=0, labelsize=SMALL)
        axis.set_yticks(np.arange(rows) + 0.6, self.rows)
        short = [c if len(c) < 10 else c[:9] + "." for c in classes]
        slant = {"rotation": 60, "ha": "right"} if long else {}
        axis.set_xticks(np.arange(n), short, **slant)
        self._ticks = axis.get_xticklabels()
        axis.hlines(np.arange(1, rows + 1), -0.6, n - 0.4, color="#dddddd", lw=0.6, zorder=1)
        self._truth = Rectangle((0, 0), 0.92, rows, color=BAND, alpha=0.55, lw=0, zorder=0)
        axis.add_patch(self._truth)
        points = 72 * (WIDTH - room(self.rows) - 0.72) / (n + 0.2)  # from a class to the next
        self._bars = axis.vlines([], 0, 0, linewidths=0.76 * points)
        self._spread = axis.vlines([], 0, 0, colors=INK, linewidths=1.3, zorder=4)
        beside = {"x": n - 0.3, "s": "", "fontsize": SMALL}
        self._marks = [axis.text(y=r + 0.62, va="center", **beside) for r in range(rows)]
        self._head = axis.text(y=-0.1, va="bottom", color="#555555", **beside)
        self._marked = -1

    def update(self, view: Any) -> None:
        """Show the view's probabilities and answers."""
        y, name = view.truth, self.classes[view.truth]
        each = {row: view.row(row) for row in self.rows}
        mean, least, most = (
            np.stack([f(p, 0) for p in each.values()]) for f in (np.mean, np.min, np.max)
        )  # [row, class]
        foot, at = np.indices(mean.shape) + np.array([1, 0])[:, None, None]
        for drawn, low, high in (self._bars, 0 * mean, mean), (self._spread, least, most):
            segments = np.array([[at, foot - 0.86 * low], [at, foot - 0.86 * high]])
            drawn.set_segments(np.moveaxis(segments, (0, 1), (2, 3)).reshape(-1, 2, 2))
        if self._marked != y:
            self._truth.set_x(y - 0.46)
            self._head.set_text(f"says {name if len(name) < 5 else 'y'}?")
            for c, tick in enumerate(self._ticks):
                tick.set_fontweight("bold" if c == y else "normal")
            self._marked = y
        right = dict(zip(view.models, view.recognised, strict=True))
        known = [right[r] for r in view.references]
        colors = []
        for text, row, p in zip(self._marks, self.rows, mean[:, y], strict=True):
            share = np.mean(known) if row == "Re-train" else float(right[row])
            mark = f"{sum(known)}/{len(known)}" if row == "Re-train" else "✓" if share else "✗"
            colors.append(GOOD if share >= 0.5 else BAD)
            text.set(text=f"{mark} {p:.2f}", color=colors[-1])
        self._bars.set_color(np.repeat(colors, len(self.classes)))
        copy = f"{view.perturbation}, tau {view.tau:g}"
        self._title.set_text(f"Class probabilities of the copy ({name})\n{copy}")


class RunningRatio:
    """One sample's ratio with its interval after each draw."""

    def __init__(self) -> None:
        self.figure, axis, self._title = narrow(1, 2.9, left=0.68, right=0.2, bottom=0.5, top=0.5)
        self._axis = axis
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=SMALL)
        axis.set_xlabel("draws", fontsize=9)
        axis.set_ylabel("ratio (95 % interval)", fontsize=9)
        both = blended_transform_factory(self.figure.transFigure, axis.transAxes)
        axis.yaxis.set_label_coords(
            0.055, 0.5, transform=both
        )  # however wide the numbers beside it
        axis.axhline(1, **DOTTED)
        self._band = axis.fill_between([], [], alpha=0.25, lw=0)
        (self._line,) = axis.plot([], [], lw=1.8)

    def update(self, r: Any) -> None:
        """Show a :class:`rurklib.study.inspector.running_ratio.RunningRatio`."""
        color = style(r.model.split(" ")[0])["color"]
        known = ~np.isnan(r.ratio)
        n, low, high = r.draws[known], r.low[known], r.high[known]
        self._band.remove()
        self._band = self._axis.fill_between(n, low, high, color=color, alpha=0.25, lw=0)
        self._line.set_data(n, r.ratio[known])
        self._line.set(color=color, marker="o" if len(n) == 1 else "")
        top = max([2.0, *(1.15 * high[min(9, len(n) - 1) :]), *(1.15 * r.ratio[known])])
        self._axis.set(xlim=(0, max(r.total, 2)), ylim=(0, min(top, 12.0)))
        last = f"{r.ratio[-1]:.2f} ({r.low[-1]:.2f} to {r.high[-1]:.2f})"
        after = f"after {r.done} of {r.total} draws: {last if known[-1] else 'undefined'}"
        self._title.set_text(f"Recognised copies: {r.model} / re-trained\n{after}")
