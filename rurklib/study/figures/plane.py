"""Decision regions of several models, where two of them part, and a ball around one sample.

Figures are built once; ``update`` moves their artists and says in words what there is to see. A
panel and its static twin draw with the same one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import ListedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from rurklib.study.figures.style import BAND, INK, canvas, style

CLASSES = ("#0173b2", "#de8f05", "#8a5fa8")  # of samples; regions are the same colours, lighter


TINTS = ("#cfe3f1", "#fae3bd", "#e3d6ec")


KEPT = ("o", "s", "^")  # retained samples, by class


# Colours other than the classes': those of the models, and greys that differ in lightness.
APART = "#8c8c8c"


# Who recognises a point of the ball: colour and marker.
WHO = {
    "both": ("#b0b0b0", "o"),
    "model": ("#029e73", "^"),
    "re-trained": ("#555555", "v"),
    "neither": ("#222222", "x"),
}


class Regions:
    """Maps of four models above; below: disagreement, a ball, and the ball's share over steps.

    Samples are [n, 2] in [0, 1]^2, labels int [n]. ``names`` are the four models' names in the
    order of the maps: the second is the re-trained model, the last the one that is compared with
    it. ``axes_names`` label the two features, ``classes`` the regions.
    """

    def __init__(
        self,
        forget: tuple[np.ndarray, np.ndarray],
        kept: tuple[np.ndarray, np.ndarray],
        *,
        names: Sequence[str],
        classes: Sequence[str],
        axes_names: tuple[str, str],
        steps: Sequence[int],
    ) -> None:
        self.x, self.y = forget
        self.names, self.steps = tuple(names), np.array(steps)
        self.figure, grid = canvas(2, 4, width=10.6, height=6.5)
        spec = grid[1, 2].get_gridspec()
        for axis in grid[1, 2:]:
            axis.remove()
        self.maps, self.apart, self.ball = list(grid[0]), grid[1, 0], grid[1, 1]
        self.path = self.figure.add_subplot(spec[1, 2:])
        self.title = self.figure.suptitle("\n", x=0.01, ha="left", fontsize=12)
        self._map(kept, axes_names)
        self._ball()
        self._path()
        self._legends(classes)
        # Text is placed once: doing it anew for each picture would take longer than drawing.
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")

    def update(self, view: Any) -> str:
        """Show a :class:`rurklib.study.inspector.plane.PlaneView`; say what is seen."""
        regions = [view.regions[name] for name in self.names]
        answers = [view.answers[name] for name in self.names]
        for shown, image in zip(self._images, regions, strict=True):
            shown.set_data(image)
        self._apart_image.set_data(regions[3] != regions[1])
        for k, (same, other) in enumerate(self._marks):
            # On the re-trained map and the last: do these two agree? On the others: they with it.
            agree = answers[3 if k in (1, 4) else k] == answers[1]
            same.set_offsets(self.x[agree])
            same.set_facecolor([CLASSES[c] for c in self.y[agree]])
            other.set_offsets(self.x[~agree])
            other.set_facecolor([CLASSES[c] for c in self.y[~agree]])
        for ring, line in zip(self._rings, self._outlines, strict=True):
            ring.set_offsets(self.x[view.sample : view.sample + 1])
            line.set_data(*view.outline.T)
        share = float((regions[3] != regions[1]).mean())
        self.apart.set_title(f"{self.names[3]} ≠ {self.names[1]}: {100 * share:.1f} %", fontsize=10)
        path, theirs = view.right[self.names[3]].mean(-1), view.right[self.names[1]].mean(-1)
        levels = {name: view.right[name].mean() for name in (self.names[0], self.names[2])}
        model, reference = view.right[self.names[3]][view.step], view.right[self.names[1]]
        reference = reference[view.reference]
        self._show_ball(view.points, model, reference, view.outline, view.sample)
        self._show_path(path, theirs, view.step, levels)
        low, high = theirs.min(), theirs.max()
        between = _percent(low) if low == high else f"{100 * low:.0f} ... {_percent(high)}"
        title = (
            f"Ball of tau {view.tau:g} ({view.norm}) around forget sample {view.sample + 1} "
            f"({view.species}): Original recognises {_percent(levels['Original'])},\n"
            f"RURK (lambda {view.lam:g}, {view.steps} steps) {_percent(path[view.step])}, "
            f"{len(theirs)} re-trained models {between}: RURK is {view.placement} their range"
        )
        self.title.set_text(title)
        only, other = (model & ~reference).mean(), (reference & ~model).mean()
        return (
            f"{title.replace(chr(10), ' ')}. GD recognises {_percent(levels['GD'])}. Of the ball, "
            f"{_percent(only)} are recognised by RURK and not by re-trained model "
            f"{view.reference + 1}, {_percent(other)} the other way round. The two disagree on "
            f"{100 * share:.1f} % of the plane and on {(answers[3] != answers[1]).sum()} of "
            f"{len(self.y)} forget samples."
        )

    # --- built once -----------------------------------------------------------------------------

    def _map(self, kept: tuple[np.ndarray, np.ndarray], axes_names: tuple[str, str]) -> None:
        self._images, self._marks, self._rings, self._outlines = [], [], [], []
        blank = np.zeros((2, 2))
        look = {"origin": "lower", "extent": (0, 1, 0, 1), "interpolation": "nearest"}
        for axis, name in zip(self.maps, self.names, strict=True):
            cmap = ListedColormap(TINTS)
            self._images.append(axis.imshow(blank, cmap=cmap, vmin=0, vmax=2, **look))
            axis.set_title(name, fontsize=10.5, color=style(name)["color"], fontweight="bold")
        two = ListedColormap(["#ffffff", APART])
        self._apart_image = self.apart.imshow(blank, cmap=two, vmin=0, vmax=1, **look)
        self.apart.set_title(" ", fontsize=10)
        for axis in (*self.maps, self.apart):
            x, y = kept
            for c, marker in enumerate(KEPT):
                axis.plot(*x[y == c].T, marker, ms=2.6, color=CLASSES[c], mew=0, alpha=0.7)
            marks = [
                axis.scatter([], [], s=s, marker=m, edgecolors=INK, linewidths=0.9, zorder=4)
                for m, s in (("o", 42), ("X", 70))
            ]
            self._marks.append(marks)
            self._rings.append(
                axis.scatter([], [], s=480, facecolors="none", edgecolors="#555555", ls=":", lw=1.2)
            )
            self._outlines.append(axis.plot([], [], color=INK, lw=1.0, zorder=3)[0])
            first = axis in (self.maps[0], self.apart)
            axis.set(xlim=(0, 1), ylim=(0, 1), xticks=[0, 1], yticks=[0, 1] if first else [])
            axis.tick_params(labelsize=8)
            axis.set_xlabel(axes_names[0], fontsize=9, labelpad=-6)
        for axis in (self.maps[0], self.apart):
            axis.set_ylabel(axes_names[1], fontsize=9, labelpad=-4)

    def _ball(self) -> None:
        self._who = {
            name: self.ball.scatter([], [], s=11, marker=marker, color=color, linewidths=0.8)
            for name, (color, marker) in WHO.items()
        }
        self._outline = self.ball.plot([], [], color=INK, lw=1.0)[0]
        self._centre = self.ball.scatter([], [], s=70, marker="o", edgecolors=INK, zorder=4)
        self.ball.set(xticks=[], yticks=[], aspect="equal", xlim=(-1, 1), ylim=(-1, 1))
        self.ball.set_title("who recognises its ball", fontsize=10)

    def _path(self) -> None:
        axis = self.path
        top = float(self.steps.max())
        self._band = axis.axhspan(0, 1, color=BAND, alpha=0.8, lw=0)
        self._line = axis.plot(self.steps, np.zeros(len(self.steps)), ms=6, lw=1.8,
                               **style(self.names[3]))[0]  # fmt: skip
        self._now = axis.plot([0], [0], "o", ms=13, mfc="none", mec=INK, mew=1.4)[0]
        self._levels = {}
        for k, name in enumerate((self.names[0], self.names[2])):
            at = 0.0 if k == 0 else top
            self._levels[name] = axis.plot([at], [0], ms=8, ls="", label=name, **style(name))[0]
        axis.set(xlim=(-0.05 * top, 1.05 * top), ylim=(-0.04, 1.3), yticks=[0, 0.25, 0.5, 0.75, 1])
        axis.yaxis.tick_right()
        axis.yaxis.set_label_position("right")
        axis.set_xlabel("fine-tuning steps", fontsize=9)
        axis.set_ylabel("share of the ball recognised", fontsize=9)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "left"]].set_visible(False)
        axis.set_title(" ", fontsize=10)

    def _legends(self, classes: Sequence[str]) -> None:
        species: list = [Patch(fc=t, ec=c, label=n)
                   for t, c, n in zip(TINTS, CLASSES, classes, strict=False)]  # fmt: skip
        grey: dict[str, Any] = {"ls": "", "mfc": "#dddddd", "mec": INK}
        species += [
            Line2D([], [], marker="o", ms=6.5, label="forgotten: agrees with re-trained", **grey),
            Line2D([], [], marker="X", ms=8, label="forgotten: doesn't", **grey),
        ]
        who = {"both": "both", "model": f"only {self.names[3]}", "re-trained": "only re-trained",
               "neither": "neither"}  # fmt: skip
        points: list = [Patch(fc=APART, label=f"{self.names[3]} and re-trained differ")]
        points += [Line2D([], [], ls="", marker=WHO[n][1], color=WHO[n][0], ms=5, label=text)
                   for n, text in who.items()]  # fmt: skip
        band = [Patch(fc=BAND, label="re-trained models (range)"), self._line]
        self._line.set_label(self.names[3])
        known = [*self._levels.values()]
        small = {"frameon": False, "fontsize": 8.5, "handletextpad": 0.4, "columnspacing": 1.0}
        # A legend is filled column by column: two rows of five.
        rows = [handle for column in zip(species, points, strict=True) for handle in column]
        self.figure.legend(handles=rows, loc="outside lower left", ncols=5, **small)
        self.path.legend(handles=[*band, *known], loc="upper left", ncols=4, **small)

    # --- changed in place -----------------------------------------------------------------------

    def _show_ball(
        self,
        points: np.ndarray,
        by_model: np.ndarray,
        by_reference: np.ndarray,
        outline: np.ndarray,
        sample: int,
    ) -> None:
        groups = {
            "both": by_model & by_reference,
            "model": by_model & ~by_reference,
            "re-trained": ~by_model & by_reference,
            "neither": ~by_model & ~by_reference,
        }
        for name, members in groups.items():
            self._who[name].set_offsets(points[members])
        self._outline.set_data(*outline.T)
        self._centre.set_offsets(self.x[sample : sample + 1])
        self._centre.set_facecolor(CLASSES[self.y[sample]])
        middle, reach = self.x[sample], 1.12 * np.abs(outline - self.x[sample]).max()
        self.ball.set_xlim(middle[0] - reach, middle[0] + reach)
        self.ball.set_ylim(middle[1] - reach, middle[1] + reach)

    def _show_path(
        self, path: np.ndarray, references: np.ndarray, step: int, levels: Mapping[str, float]
    ) -> None:
        low, high = float(references.min()), float(references.max())
        self._band.set_y(low - 0.004)  # a band of no height is still seen
        self._band.set_height(high - low + 0.008)
        self._line.set_ydata(path)
        self._now.set_data([self.steps[step]], [path[step]])
        for name, level in levels.items():
            self._levels[name].set_ydata([level])
        self.path.set_title(
            f"{self.names[3]}: {100 * path[step]:.0f} % of the ball after {self.steps[step]} steps",
            fontsize=10,
        )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


# column: label, colour, line, marker
SPHERE = {
    "caps_drawn": ("{caps} scattered caps, simulated", "#029e73", "", "o"),
    "hemisphere_drawn": ("a hemisphere, simulated", INK, "", "s"),
    "hemisphere": ("a hemisphere, exact: the worst case", INK, "-", ""),
    "bound": ("bound of Lemma A.2", "#d55e00", "--", ""),
}


class Sphere:
    """Shares over dimension (log scale); built for the dimensions of ``frame``.

    ``frame`` has a row for each tau and dimension with the columns of :data:`SPHERE` and
    ``caps``, how many caps are scattered.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self.figure, self.axis = canvas(width=7.6, height=4.6)
        axis, dimensions = self.axis, np.unique(frame.dimension)
        self.lines = {}
        for column, (label, color, line, marker) in SPHERE.items():
            (self.lines[column],) = axis.plot(
                dimensions, np.full(len(dimensions), np.nan), color=color, ls=line or "none",
                marker=marker, ms=6, mfc="none" if marker == "s" else color, lw=1.8,
                label=label.format(caps=frame.caps.iloc[0]),
            )  # fmt: skip
        axis.axhline(0.5, color="#555555", lw=0.8, ls=":")
        axis.set_xscale("log")
        axis.set_xticks(dimensions, [str(d) for d in dimensions], minor=False)
        axis.minorticks_off()
        axis.set(xlim=(dimensions.min() / 1.3, dimensions.max() * 1.3), ylim=(0.33, 1.03))
        axis.set(xlabel="dimension d (log scale)",
                 ylabel="share of the sphere within tau\nof a disagreement")  # fmt: skip
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=9, loc="lower right")
        self.title = axis.set_title("\n", loc="left")
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")

    def update(self, rows: pd.DataFrame) -> str:
        """Show the rows of one tau, in order of dimension; say what is seen."""
        for column, line in self.lines.items():
            line.set_ydata(rows[column].to_numpy())
        first, last = rows.iloc[0], rows.iloc[-1]
        title = (
            f"Within tau {first.tau:g} of a disagreement: at least {100 * first.hemisphere:.0f} % "
            f"of the sphere in {int(first.dimension)} dimensions,\n"
            f"{100 * last.hemisphere:.1f} % in {int(last.dimension)} (the bound says "
            f"{100 * last.bound:.1f} %)"
        )
        self.title.set_text(title)
        return (
            f"{title.replace(chr(10), ' ')}. Disagreements scattered over {int(first.caps)} caps "
            f"reach {100 * first.caps_drawn:.0f} % and {100 * last.caps_drawn:.1f} %."
        )
