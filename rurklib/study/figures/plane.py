"""Decision regions of several models, where two of them part, and a ball around one sample.

Figures are built once; ``update`` moves their artists and says in words what there is to see. A
panel and its static twin draw with the same one.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

from rurklib.study.figures.style import BAND, INK, canvas, style

NAMES = ("Original", "Re-train", "GD", "RURK")  # the maps, in their order
CLASSES = ("#0173b2", "#de8f05", "#8a5fa8")  # of samples; regions are the same colours, lighter
TINTS = ("#cfe3f1", "#fae3bd", "#e3d6ec")
KEPT = ("o", "s", "^")  # retained samples, by class
APART = "#8c8c8c"  # no class's colour, as all that follow

# Who recognises a point of the ball: colour and marker.
WHO = {
    "both": ("#b0b0b0", "o"),
    "only RURK": ("#029e73", "^"),
    "only re-trained": ("#555555", "v"),
    "neither": ("#222222", "x"),
}

SMALL: Any = {"frameon": False, "fontsize": 8.5, "handletextpad": 0.4, "columnspacing": 1.0}


class Regions:
    """Maps of four models above; below: disagreement, a ball, and the ball's share over steps.

    Samples are [n, 2] in [0, 1]^2, labels int [n]. ``axes_names`` label the two features,
    ``classes`` the regions.
    """

    def __init__(
        self,
        forget: tuple[np.ndarray, np.ndarray],
        kept: tuple[np.ndarray, np.ndarray],
        *,
        classes: Sequence[str],
        axes_names: tuple[str, str],
        steps: Sequence[int],
    ) -> None:
        self.x, self.y = forget
        self.figure, axes = canvas(
            mosaic=[NAMES, ("apart", "ball", "path", "path")], width=10.6, height=6.5
        )
        self.apart, self.ball, self.path = axes["apart"], axes["ball"], axes["path"]
        self.title = self.figure.suptitle("\n", x=0.01, ha="left", fontsize=12)
        look = {"origin": "lower", "extent": (0, 1, 0, 1), "interpolation": "nearest", "vmin": 0}
        self._images, self._marks = {}, {}
        self._rings: list[Any] = []
        self._outlines: list[Any] = []
        for name in (*NAMES, "apart"):
            axis, colors = axes[name], TINTS if name in NAMES else ("#ffffff", APART)
            look |= {"cmap": ListedColormap(colors), "vmax": len(colors) - 1}
            self._images[name] = axis.imshow(np.zeros((2, 2)), **look)
            self._marks[name] = self._plane(axis, kept)
            first = name in ("Original", "apart")
            axis.set(xlim=(0, 1), ylim=(0, 1), xticks=[0, 1], yticks=[0, 1] if first else [])
            axis.tick_params(labelsize=8)
            axis.set_xlabel(axes_names[0], fontsize=9, labelpad=-6)
            axis.set_ylabel(axes_names[1] if first else "", fontsize=9, labelpad=-4)
            if name in NAMES:
                axis.set_title(name, fontsize=10.5, color=style(name)["color"], fontweight="bold")
        self._who = {
            who: self.ball.scatter([], [], s=11, marker=m, color=color, lw=0.8, label=who)
            for who, (color, m) in WHO.items()
        }
        self._centre = self.ball.scatter([], [], s=70, marker="o", edgecolors=INK, zorder=4)
        self._outlines += self.ball.plot([], [], color=INK, lw=1.0)
        self.ball.set(xticks=[], yticks=[], aspect="equal")
        for axis in (self.apart, self.ball, self.path):
            axis.set_title("who recognises its ball", fontsize=10)
        self._path(np.array(steps))
        tints = zip(TINTS, CLASSES, classes, strict=True)
        above = [Patch(fc=t, ec=c, label=name) for t, c, name in tints]
        below = Patch(fc=APART, label="RURK and re-trained differ")
        # A legend is filled column by column: two rows of five.
        rows = zip([*above, *self._marks["Original"]], [below, *self._who.values()], strict=True)
        handles = [handle for column in rows for handle in column]
        self.figure.legend(handles=handles, loc="outside lower left", ncols=5, **SMALL)
        # Text is placed once: doing it anew for each picture would take longer than drawing.
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")

    def update(self, view: Any) -> str:
        """Show a :class:`rurklib.study.inspector.plane.PlaneView`; say what is seen."""
        here = slice(view.sample, view.sample + 1)
        differ = view.regions["RURK"] != view.regions["Re-train"]
        agree = {name: said == view.answers["Re-train"] for name, said in view.answers.items()}
        # On the re-trained map and the last: do these two agree? On the others: they with it.
        agree["Re-train"] = agree["apart"] = agree["RURK"]
        for name, image in {**view.regions, "apart": differ}.items():
            self._images[name].set_data(image)
            for marks, which in zip(self._marks[name], (agree[name], ~agree[name]), strict=True):
                marks.set_offsets(self.x[which])
                marks.set_facecolor([CLASSES[c] for c in self.y[which]])
        for ring in self._rings:
            ring.set_offsets(self.x[here])
        for line in self._outlines:
            line.set_data(*view.outline.T)
        self.apart.set_title(f"RURK ≠ Re-train: {100 * differ.mean():.1f} %")
        right = view.right
        model, reference = right["RURK"][view.step], right["Re-train"][view.reference]
        alone, lost = model & ~reference, reference & ~model
        members = (model & reference, alone, lost, ~(model | reference))
        for marks, which in zip(self._who.values(), members, strict=True):
            marks.set_offsets(view.points[which])
        self._centre.set_offsets(self.x[here])
        self._centre.set_facecolor(CLASSES[self.y[view.sample]])
        (across, up), reach = self.x[view.sample], 1.12 * np.abs(view.outline - self.x[here]).max()
        self.ball.set(xlim=(across - reach, across + reach), ylim=(up - reach, up + reach))
        share, theirs = right["RURK"].mean(-1), right["Re-train"].mean(-1)
        low, high = theirs.min(), theirs.max()
        self._band.set(y=low - 0.004, height=high - low + 0.008)  # seen, even if of no height
        self._line.set_ydata(share)
        self._now.set_data([view.steps], [share[view.step]])
        for name, level in self._levels.items():
            level.set_ydata([right[name].mean()])
        own = _percent(share[view.step])
        self.path.set_title(f"RURK: {own} of the ball after {view.steps} steps")
        between = _percent(low) if low == high else f"{100 * low:.0f} ... {_percent(high)}"
        title = (
            f"Ball of tau {view.tau:g} ({view.norm}) around forget sample {view.sample + 1} "
            f"({view.species}): Original recognises {_percent(right['Original'].mean())},\n"
            f"RURK (lambda {view.lam:g}, {view.steps} steps) {own}, {len(theirs)} re-trained "
            f"models {between}: RURK is {view.placement} their range"
        )
        self.title.set_text(title)
        return (
            f"{title.replace(chr(10), ' ')}. GD recognises {_percent(right['GD'].mean())}. Of "
            f"the ball, {_percent(alone.mean())} are recognised by RURK and not by re-trained "
            f"model {view.reference + 1}, {_percent(lost.mean())} the other way round. The two "
            f"disagree on {100 * differ.mean():.1f} % of the plane and on "
            f"{(~agree['RURK']).sum()} of {len(self.y)} forget samples."
        )

    def _plane(self, axis: Axes, kept: tuple[np.ndarray, np.ndarray]) -> list[Any]:
        """Samples and ball on a map. Returns marks of forget samples that agree and that don't."""
        for c, marker in enumerate(KEPT):
            axis.plot(*kept[0][kept[1] == c].T, marker, ms=2.6, color=CLASSES[c], mew=0, alpha=0.7)
        look: Any = {"facecolors": "#dddddd", "edgecolors": INK, "linewidths": 0.9, "zorder": 4}
        ring: Any = {"facecolors": "none", "edgecolors": "#555555", "ls": ":", "lw": 1.2}
        self._rings.append(axis.scatter([], [], s=480, **ring))
        self._outlines += axis.plot([], [], color=INK, lw=1.0, zorder=3)
        return [
            axis.scatter([], [], s=s, marker=m, label=f"forgotten: {label}", **look)
            for m, s, label in (("o", 42, "agrees with re-trained"), ("X", 70, "doesn't"))
        ]

    def _path(self, steps: np.ndarray) -> None:
        """The ball's share over steps, with the re-trained models' and the other two's."""
        axis, top = self.path, float(steps.max())
        self._band = axis.axhspan(0, 1, color=BAND, alpha=0.8, lw=0, label="re-trained (range)")
        look = {"lw": 1.8, "label": "RURK", **style("RURK")}
        (self._line,) = axis.plot(steps, np.zeros(len(steps)), ms=6, **look)
        (self._now,) = axis.plot([0], [0], "o", ms=13, mfc="none", mec=INK, mew=1.4)
        self._levels = {
            name: axis.plot([at], [0], ms=8, ls="", label=name, **style(name))[0]
            for name, at in (("Original", 0.0), ("GD", top))
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
