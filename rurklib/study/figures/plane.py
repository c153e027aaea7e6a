"""Decision regions of several models, where two of them part, and a ball around one sample.

Figures are built once; ``update`` moves their artists and says in words what there is to see. A
panel and its static twin draw with the same one.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from rurklib.study.figures.style import BAND, INK, canvas, style

CLASSES = ("#0173b2", "#de8f05", "#8a5fa8")  # of samples; regions are the same colours, lighter
TINTS = ("#cfe3f1", "#fae3bd", "#e3d6ec")
KEPT = ("o", "s", "^")  # retained samples, by class
APART = "#8c8c8c"  # no class's colour, as all that follow

# Who recognises a point of the ball: colour and marker.
WHO = {
    "both": ("#b0b0b0", "o"),
    "model": ("#029e73", "^"),
    "re-trained": ("#555555", "v"),
    "neither": ("#222222", "x"),
}

SMALL: Any = {"frameon": False, "fontsize": 8.5, "handletextpad": 0.4, "columnspacing": 1.0}


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
        for axis in grid[1, 2:]:
            axis.remove()
        self.maps, self.apart, self.ball = list(grid[0]), grid[1, 0], grid[1, 1]
        self.path = self.figure.add_subplot(grid[0, 0].get_gridspec()[1, 2:])
        self.title = self.figure.suptitle("\n", x=0.01, ha="left", fontsize=12)
        look = {"origin": "lower", "extent": (0, 1, 0, 1), "interpolation": "nearest", "vmin": 0}
        blank, tints = np.zeros((2, 2)), ListedColormap(TINTS)
        self._images = [m.imshow(blank, cmap=tints, vmax=2, **look) for m in self.maps]
        two = ListedColormap(["#ffffff", APART])
        self._images.append(self.apart.imshow(blank, cmap=two, vmax=1, **look))
        for axis, name in zip(self.maps, self.names, strict=True):
            axis.set_title(name, fontsize=10.5, color=style(name)["color"], fontweight="bold")
        planes = [self._plane(axis, kept, axes_names) for axis in (*self.maps, self.apart)]
        self._marks, self._rings, self._outlines = zip(*planes, strict=True)
        texts = ("both", f"only {self.names[3]}", "only re-trained", "neither")
        self._who = {
            name: self.ball.scatter([], [], s=11, marker=m, color=color, lw=0.8, label=text)
            for (name, (color, m)), text in zip(WHO.items(), texts, strict=True)
        }
        self._centre = self.ball.scatter([], [], s=70, marker="o", edgecolors=INK, zorder=4)
        self._outlines += tuple(self.ball.plot([], [], color=INK, lw=1.0))
        self.ball.set(xticks=[], yticks=[], aspect="equal")
        for axis, text in (
            (self.apart, " "), (self.ball, "who recognises its ball"), (self.path, " "),
        ):  # fmt: skip
            axis.set_title(text, fontsize=10)
        self._path()
        above = [
            Patch(fc=t, ec=c, label=n) for t, c, n in zip(TINTS, CLASSES, classes, strict=True)
        ]
        below = [Patch(fc=APART, label=f"{self.names[3]} and re-trained differ")]
        # A legend is filled column by column: two rows of five.
        rows = zip([*above, *self._marks[0]], [*below, *self._who.values()], strict=True)
        handles = [handle for column in rows for handle in column]
        self.figure.legend(handles=handles, loc="outside lower left", ncols=5, **SMALL)
        # Text is placed once: doing it anew for each picture would take longer than drawing.
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")

    def update(self, view: Any) -> str:
        """Show a :class:`rurklib.study.inspector.plane.PlaneView`; say what is seen."""
        regions = [view.regions[name] for name in self.names]
        answers = [view.answers[name] for name in self.names]
        differ, here = regions[3] != regions[1], slice(view.sample, view.sample + 1)
        for shown, image in zip(self._images, [*regions, differ], strict=True):
            shown.set_data(image)
        for k, pair in enumerate(self._marks):
            # On the re-trained map and the last: do these two agree? On the others: they with it.
            agree = answers[3 if k in (1, 4) else k] == answers[1]
            for marks, which in zip(pair, (agree, ~agree), strict=True):
                marks.set_offsets(self.x[which])
                marks.set_facecolor([CLASSES[c] for c in self.y[which]])
        for ring in self._rings:
            ring.set_offsets(self.x[here])
        for line in self._outlines:
            line.set_data(*view.outline.T)
        self.apart.set_title(f"{self.names[3]} ≠ {self.names[1]}: {100 * differ.mean():.1f} %")
        right = [view.right[name] for name in self.names]
        model, reference = right[3][view.step], right[1][view.reference]
        for members, who in zip(
            (model & reference, model & ~reference, ~model & reference, ~model & ~reference),
            self._who.values(), strict=True,
        ):  # fmt: skip
            who.set_offsets(view.points[members])
        self._centre.set_offsets(self.x[here])
        self._centre.set_facecolor(CLASSES[self.y[view.sample]])
        (across, up), reach = self.x[view.sample], 1.12 * np.abs(view.outline - self.x[here]).max()
        self.ball.set(xlim=(across - reach, across + reach), ylim=(up - reach, up + reach))
        share, theirs = right[3].mean(-1), right[1].mean(-1)
        low, high = theirs.min(), theirs.max()
        self._band.set(y=low - 0.004, height=high - low + 0.008)  # seen, even if of no height
        self._line.set_ydata(share)
        self._now.set_data([view.steps], [share[view.step]])
        for name, level in self._levels.items():
            level.set_ydata([view.right[name].mean()])
        own = _percent(share[view.step])
        self.path.set_title(f"{self.names[3]}: {own} of the ball after {view.steps} steps")
        between = _percent(low) if low == high else f"{100 * low:.0f} ... {_percent(high)}"
        title = (
            f"Ball of tau {view.tau:g} ({view.norm}) around forget sample {view.sample + 1} "
            f"({view.species}): Original recognises {_percent(right[0].mean())},\n"
            f"RURK (lambda {view.lam:g}, {view.steps} steps) {own}, {len(theirs)} re-trained "
            f"models {between}: RURK is {view.placement} their range"
        )
        self.title.set_text(title)
        return (
            f"{title.replace(chr(10), ' ')}. GD recognises {_percent(right[2].mean())}. Of the "
            f"ball, {_percent((model & ~reference).mean())} are recognised by RURK and not by "
            f"re-trained model {view.reference + 1}, {_percent((reference & ~model).mean())} the "
            f"other way round. The two disagree on {100 * differ.mean():.1f} % of the plane and on "
            f"{(answers[3] != answers[1]).sum()} of {len(self.y)} forget samples."
        )

    def _plane(
        self, axis: Axes, kept: tuple[np.ndarray, np.ndarray], names: tuple[str, str]
    ) -> Any:
        """What moves on a map: marks of forget samples that agree and that don't, ring, outline."""
        for c, marker in enumerate(KEPT):
            axis.plot(*kept[0][kept[1] == c].T, marker, ms=2.6, color=CLASSES[c], mew=0, alpha=0.7)
        look: Any = {"facecolors": "#dddddd", "edgecolors": INK, "linewidths": 0.9, "zorder": 4}
        marks = [
            axis.scatter([], [], s=s, marker=m, label=f"forgotten: {label}", **look)
            for m, s, label in (("o", 42, "agrees with re-trained"), ("X", 70, "doesn't"))
        ]
        ring = axis.scatter([], [], s=480, facecolors="none", edgecolors="#555555", ls=":", lw=1.2)
        (outline,) = axis.plot([], [], color=INK, lw=1.0, zorder=3)
        first = axis in (self.maps[0], self.apart)
        axis.set(xlim=(0, 1), ylim=(0, 1), xticks=[0, 1], yticks=[0, 1] if first else [])
        axis.tick_params(labelsize=8)
        axis.set_xlabel(names[0], fontsize=9, labelpad=-6)
        axis.set_ylabel(names[1] if first else "", fontsize=9, labelpad=-4)
        return marks, ring, outline

    def _path(self) -> None:
        """The ball's share over steps, with the re-trained models' and the other two's."""
        axis, top = self.path, float(self.steps.max())
        self._band = axis.axhspan(0, 1, color=BAND, alpha=0.8, lw=0, label="re-trained (range)")
        look = {"lw": 1.8, "label": self.names[3], **style(self.names[3])}
        (self._line,) = axis.plot(self.steps, np.zeros(len(self.steps)), ms=6, **look)
        (self._now,) = axis.plot([0], [0], "o", ms=13, mfc="none", mec=INK, mew=1.4)
        self._levels = {
            name: axis.plot([at], [0], ms=8, ls="", label=name, **style(name))[0]
            for name, at in ((self.names[0], 0.0), (self.names[2], top))
        }
        axis.set(xlim=(-0.05 * top, 1.05 * top), ylim=(-0.04, 1.3), yticks=[0, 0.25, 0.5, 0.75, 1])
        axis.yaxis.tick_right()
        axis.yaxis.set_label_position("right")
        axis.set_xlabel("fine-tuning steps", fontsize=9)
        axis.set_ylabel("share of the ball recognised", fontsize=9)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "left"]].set_visible(False)
        axis.legend(loc="upper left", ncols=4, **SMALL)


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
        self.figure, axis = canvas(width=7.6, height=4.6)
        dimensions = np.unique(frame.dimension)
        self.lines = {
            column: axis.plot(
                dimensions, np.full(len(dimensions), np.nan), color=color, ls=line or "none",
                marker=marker, ms=6, mfc="none" if marker == "s" else color, lw=1.8,
                label=label.format(caps=frame.caps.iloc[0]),
            )[0]
            for column, (label, color, line, marker) in SPHERE.items()
        }  # fmt: skip
        axis.axhline(0.5, color="#555555", lw=0.8, ls=":")
        axis.set(xscale="log", xlim=(dimensions.min() / 1.3, dimensions.max() * 1.3),
                 ylim=(0.33, 1.03), xlabel="dimension d (log scale)",
                 ylabel="share of the sphere within tau\nof a disagreement")  # fmt: skip
        axis.set_xticks(dimensions, [str(d) for d in dimensions])
        axis.minorticks_off()
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
