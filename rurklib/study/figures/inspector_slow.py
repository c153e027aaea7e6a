"""The inspector's figures that take longer: running ratio, radius, a cut through the sample.

They are drawn from what is known so far and updated as it grows. Numbers as in
:mod:`rurklib.study.inspector`; look and manners as in :mod:`rurklib.study.figures.inspector`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.patches import Patch

from rurklib.study.figures.inspector import SMALL, WIDTH, at_edge, fixed, heading, room
from rurklib.study.figures.style import INK, canvas, style


class RunningRatio:
    """One sample's ratio with its interval after each draw."""

    def __init__(self) -> None:
        self.figure, self._axis = canvas(width=WIDTH, height=2.9)
        fixed(self.figure, left=0.68, right=0.2, bottom=0.5, top=0.5)
        axis = self._axis
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=SMALL)
        axis.set_xlabel("draws", fontsize=9)
        axis.set_ylabel("recognised: model / re-trained", fontsize=9)
        at_edge(axis)
        axis.axhline(1, color="#555555", lw=0.8, ls=":")
        self._band = PolyCollection([], alpha=0.25, lw=0)
        axis.add_collection(self._band, autolim=False)
        (self._line,) = axis.plot([], [], lw=1.8)
        self._note = axis.text(0.5, 0.5, "", transform=axis.transAxes, ha="center", fontsize=9)
        self._title = heading(self.figure)

    def update(self, r: Any) -> str:
        color = style(r.model.split(" ")[0])["color"]
        known = ~np.isnan(r.ratio)
        n, low, high = r.draws[known], r.low[known], r.high[known]
        around = np.concatenate([np.stack([n, low], 1), np.stack([n, high], 1)[::-1]])
        self._band.set_verts([around] if len(n) else [])
        self._band.set_facecolor(color)
        self._line.set_data(n, r.ratio[known])
        self._line.set(color=color, marker="o" if len(n) == 1 else "")
        top = max([2.0, *(1.15 * high[min(9, len(n) - 1) :]), *(1.15 * r.ratio[known])])
        self._axis.set(xlim=(0, max(r.total, 2)), ylim=(0, min(top, 12.0)))
        self._note.set_text("" if len(n) else "undefined: no re-trained model\nrecognises any copy")
        hits = f"{r.hits[-1]} of {r.done} copies, a re-trained one {r.reference_hits[-1]:.1f}"
        if np.isnan(r.ratio[-1]):
            found = f"{r.model}: no ratio after {r.done} draws"
        else:
            found = f"{r.model}: ratio {r.ratio[-1]:.2f}"
            found += "" if r.certain else f" ({r.low[-1]:.2f} to {r.high[-1]:.2f})"
            found += " for certain" if r.certain else f" after {r.done} draws"
        self._title.set_text(f"{found};\nrecognises {hits}")
        return (
            f"{found}. It recognises {hits} on average. The band is the 95 % interval over copies "
            f"of this sample, against these {r.references} re-trained models."
        )


class Radius:
    """The smallest tau at which each model changes its mind, in a row for each."""

    def __init__(self, rows: Sequence[str]) -> None:
        self.rows = list(rows)
        n = len(self.rows)
        self.figure, self._axis = canvas(width=WIDTH, height=1.35 + 0.25 * n)
        fixed(self.figure, left=room(self.rows), right=0.15, bottom=0.78, top=0.55)
        axis = self._axis
        axis.set(ylim=(n - 0.4, -0.6))
        axis.set_yticks(range(n), self.rows)
        axis.tick_params(labelsize=SMALL, axis="both")
        axis.tick_params(length=0, axis="y")
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.hlines(range(n), 0, 1, transform=axis.get_yaxis_transform(), color="#e3e3e3", lw=0.7)
        self._full, self._open, self._none = [], [], []
        for k, row in enumerate(self.rows):
            look = style(row) | {"ls": "", "ms": 6.5, "clip_on": False}
            self._full += axis.plot([], [], mec="#444444", mew=0.5, **look)
            self._open += axis.plot([], [], mfc="white", mew=1.6, **look)
            self._none.append(
                axis.text(
                    0.5,
                    k,
                    "",
                    transform=axis.get_yaxis_transform(),
                    fontsize=8,
                    ha="center",
                    va="center",
                    color="#555555",
                    backgroundcolor="white",
                )
            )
            self._none[-1].get_bbox_patch().set_boxstyle("square", pad=0.1)
        axis.set_xlabel("tau", fontsize=9)
        self.figure.text(
            0.02, 0.02, "filled: loses the true class; hollow: re-recognises it",
            fontsize=8, color="#555555",
        )  # fmt: skip
        self._title = heading(self.figure)

    def update(self, r: Any) -> str:
        self._axis.set_xlim(0, r.reach)
        finished, said = r.done == r.total, []
        for k, row in enumerate(self.rows):
            before, radius = r.of(row)
            for line, which in ((self._full[k], before), (self._open[k], ~before)):
                there = radius[which & ~np.isnan(radius)]
                line.set_data(there, np.full(len(there), k))
            missing = int(np.isnan(radius).sum())
            alone = missing == len(radius)
            text = f"no change up to {r.reach:.3g}" if finished else f"none yet, of {r.reach:.3g}"
            self._none[k].set_text(text if alone else "")
            if alone:
                said.append(f"{row} does not change")
            elif row == "Re-train":
                more = f", {missing} of {len(radius)} not" if missing else ""
                said.append(f"{row} {np.nanmin(radius):.2g} to {np.nanmax(radius):.2g}{more}")
            else:
                said.append(f"{row} {radius[0]:.2g} ({'loses' if before[0] else 're-recognises'})")
        before, radius = r.of("Original")
        verb = "loses" if before[0] else "re-recognises"
        own = f"Original {verb} the class at tau {radius[0]:.2g}"
        if np.isnan(radius[0]):
            own = f"Original does not change up to {r.reach:.3g}"
        theirs = r.of("Re-train")[1]
        their = "no re-trained model changes"
        if (~np.isnan(theirs)).any():
            kept = np.isnan(theirs).sum()
            their = f"re-trained models at {np.nanmin(theirs):.2g} to {np.nanmax(theirs):.2g}"
            their += f", {kept} not at all" if kept else ""
        self._title.set_text(f"{own};\n{their}")
        return (
            f"Smallest tau that changes a model's answer, up to {r.reach:.3g}: {'; '.join(said)}."
        )


class Map:
    """The plane through the sample: where a model and most re-trained ones say the true class."""

    def __init__(self) -> None:
        self.figure, self._axis = canvas(width=WIDTH, height=4.35)
        fixed(self.figure, left=0.68, right=0.12, bottom=1.15, top=0.5)
        axis = self._axis
        axis.tick_params(labelsize=SMALL)
        axis.set_xlabel("along Original's gradient towards y (L2)", fontsize=9)
        axis.set_ylabel("along a random direction (L2)", fontsize=9)
        at_edge(axis)
        self._image = axis.imshow(
            np.zeros((2, 2)), vmin=-0.5, vmax=3.5, origin="lower", interpolation="nearest"
        )
        axis.plot([0], [0], "P", color="white", mec=INK, ms=9, mew=1.1, zorder=5)
        self._border: Any = None
        self._title = heading(self.figure)
        self._legend: Any = None

    def update(self, c: Any) -> str:
        """``c.model`` is the one compared with most of the references; ``c.truth`` the class y."""
        model, name = c.model, c.truth
        own = c.says.get(model, c.says["Original"])
        most = c.share >= 0.5
        # A reference in the references' own grey couldn't be told from them.
        color = INK if model.startswith("Re-train") else style(model)["color"]
        # 0 neither, 1 re-trained only, 2 the model only, 3 both
        colors: list[Any] = ["#ffffff", "#d6d6d6", _mixed(color, 0.1), _mixed(color, 0.55)]
        names = ["neither", "most re-trained only", f"{model} only", "both"]
        self._image.set_cmap(ListedColormap(colors))
        self._image.set_data(2 * own.astype(int) + most)
        step = (c.across[1] - c.across[0]) / 2
        edge = c.across[-1] + step
        self._image.set_extent((-edge, edge, -edge, edge))
        self._axis.set(xlim=(-edge, edge), ylim=(-edge, edge))
        if self._border is not None:
            self._border.remove()
        self._border = None
        original = c.says["Original"]
        drawn = model != "Original" and original.any() and not original.all()
        if drawn:
            self._border = self._axis.contour(
                c.across, c.up, original.astype(float), [0.5], colors=[INK], linewidths=1.2
            )
        if self._legend is not None:
            self._legend.remove()
        handles: list[Any] = [
            Patch(fc=k, ec="#777777", lw=0.6, label=n) for k, n in zip(colors, names, strict=True)
        ]
        handles += self._axis.plot([], [], color=INK, lw=1.2, label="Original's border")[:drawn]
        self._legend = self.figure.legend(
            handles=handles, loc="lower left", ncols=2, fontsize=8, frameon=False,
            title=f"says {name}:", title_fontsize=8, alignment="left", borderaxespad=0.2,
        )  # fmt: skip
        shares = [round(100 * float(v.mean())) for v in (own, most)]
        self._title.set_text(
            f"{model} says {name} on {shares[0]} % of this plane,\n"
            f"most re-trained models on {shares[1]} %"
        )
        both, alone = (own & most).mean(), (own & ~most).mean()
        return (
            f"Plane through the sample, which is in the middle, {2 * c.across[-1]:.3g} wide. "
            f"{model} says {name} on {shares[0]} % of it, most re-trained models on {shares[1]} %: "
            f"both on {100 * both:.0f} %, {model} alone on {100 * alone:.0f} %."
        )


def _mixed(color: str, white: float) -> tuple[float, ...]:
    """A colour with a share of white."""
    return tuple((1 - white) * v + white for v in to_rgb(color))
