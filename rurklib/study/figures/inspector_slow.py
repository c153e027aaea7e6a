"""The inspector's figures that take longer: running ratio, radius, a cut through the sample.

They are drawn from what is known so far and updated as it grows. Numbers as in
:mod:`rurklib.study.inspector`; look and manners as in :mod:`rurklib.study.figures.inspector`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from rurklib.study.figures.inspector import SMALL, at_edge, narrow, room
from rurklib.study.figures.style import CROWDED, DOTTED, INK, style


class RunningRatio:
    """One sample's ratio with its interval after each draw."""

    def __init__(self) -> None:
        self.figure, axis, self._title = narrow(1, 2.9, left=0.68, right=0.2, bottom=0.5, top=0.5)
        self._axis = axis
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=SMALL)
        axis.set_xlabel("draws", fontsize=9)
        axis.set_ylabel("recognised: model / re-trained", fontsize=9)
        at_edge(axis)
        axis.axhline(1, **DOTTED)
        self._band = axis.fill_between([], [], alpha=0.25, lw=0)
        (self._line,) = axis.plot([], [], lw=1.8)
        self._note = axis.text(0.5, 0.7, "", transform=axis.transAxes, ha="center", fontsize=9)

    def update(self, r: Any) -> str:
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
        self._note.set_text("" if len(n) else "undefined: no re-trained model\nrecognises any copy")
        hits = f"{r.hits[-1]} of {r.done} copies, a re-trained one {r.reference_hits[-1]:.1f}"
        none, sure = bool(np.isnan(r.ratio[-1])), "for certain"
        if not r.certain:
            sure = f"({r.low[-1]:.2f} to {r.high[-1]:.2f})"
        ratio = "no ratio" if none else f"ratio {r.ratio[-1]:.2f} {sure}"
        self._title.set_text(f"{r.model}: {ratio};\nrecognises {hits}")
        after = f" after {r.done} draw{'s' * (r.done > 1)}" * (none or not r.certain)
        said = f"{r.model}: {ratio}{after}. It recognises {hits} on average."
        if none or r.certain:
            return said
        return (
            f"{said} The band is the 95 % interval over copies of this sample, against these "
            f"{r.references} re-trained models."
        )


class Radius:
    """The smallest tau at which each model changes its mind, in a row for each; of many models the
    re-trained ones alone look their own way."""

    def __init__(self, rows: Sequence[str]) -> None:
        self.rows = list(rows)
        n = len(self.rows)
        self.figure, axis, self._title = narrow(
            1, 1.35 + 0.25 * n, left=room(self.rows), right=0.15, bottom=0.78, top=0.55
        )
        self._axis = axis
        axis.set(ylim=(n - 0.4, -0.6))
        axis.set_yticks(range(n), self.rows)
        axis.tick_params(labelsize=SMALL, axis="both")
        axis.tick_params(length=0, axis="y")
        axis.spines[["top", "right", "left"]].set_visible(False)
        axis.hlines(range(n), 0, 1, transform=axis.get_yaxis_transform(), color="#e3e3e3", lw=0.7)
        look = {"s": 36, "lw": 1.0, "clip_on": False, "zorder": 3}
        own = n <= CROWDED + 2
        self._looks = [style(r if own or r == "Re-train" else self.rows[0]) for r in self.rows]
        self._marks = [axis.scatter([], [], **its, **look) for its in self._looks]
        there = {"transform": axis.get_yaxis_transform(), "ha": "center", "va": "center"}
        box = {"boxstyle": "square,pad=0.1", "fc": "white", "lw": 0}
        there |= {"bbox": box, "fontsize": 8, "color": "#555555"}
        self._none = [axis.text(0.5, k, "", **there) for k in range(n)]
        axis.set_xlabel("tau", fontsize=9)
        key = "filled: loses the true class; hollow: re-recognises it"
        self.figure.text(0.02, 0.02, key, fontsize=8, color="#555555")

    def update(self, r: Any) -> str:
        """Show a :class:`rurklib.study.inspector.radius.FlipRadius`."""
        self._axis.set_xlim(0, r.reach)
        far, none = f"{r.reach:.3g}", "no change up to" if r.done == r.total else "none yet, of"
        lead = self.rows[0]
        heads = {
            lead: f"{lead} does not change up to {far}",
            "Re-train": "no re-trained model changes",
        }
        said = []
        for k, row in enumerate(self.rows):
            before, radius = r.of(row)
            known, kept = radius[~np.isnan(radius)], int(np.isnan(radius).sum())
            self._marks[k].set_offsets(np.stack([radius, np.full(len(radius), k)], axis=1))
            color = self._looks[k]["color"]
            self._marks[k].set_facecolor([color if b else "white" for b in before])
            self._marks[k].set_edgecolor(["#444444" if b else color for b in before])
            self._none[k].set_text("" if len(known) else f"{none} {far}")
            verb = "loses" if before[0] else "re-recognises"
            if not len(known):
                said.append(f"{row} does not change")
            elif row == "Re-train":
                span = f"{known.min():.2g} to {known.max():.2g}"
                said.append(f"{row} {span}" + (f", {kept} of {len(radius)} not" if kept else ""))
                heads[row] = f"re-trained models at {span}"
                heads[row] += f", {kept} not at all" if kept else ""
            else:
                said.append(f"{row} {known[0]:.2g} ({verb})")
                heads[row] = f"{row} {verb} the class at tau {known[0]:.2g}"
        self._title.set_text(f"{heads[lead]};\n{heads['Re-train']}")
        return f"Smallest tau that changes a model's answer, up to {far}: {'; '.join(said)}."


class Map:
    """The plane through the sample: where a model and most re-trained ones say the true class."""

    def __init__(self) -> None:
        self.figure, axis, self._title = narrow(
            1, 4.35, left=0.68, right=0.12, bottom=1.15, top=0.5
        )
        self._axis = axis
        axis.tick_params(labelsize=SMALL)
        axis.set_ylabel("along a random direction (L2)", fontsize=9)
        at_edge(axis)
        look = {"vmin": -0.5, "vmax": 3.5, "origin": "lower", "interpolation": "nearest"}
        self._image = axis.imshow(np.zeros((2, 2)), **look)
        axis.plot([0], [0], "P", color="white", mec=INK, ms=9, mew=1.1, zorder=5)
        self._drawn: list[Any] = []  # anew each time: the first model's border, the legend

    def update(self, c: Any) -> str:
        """Show a :class:`rurklib.study.inspector.cut.Cut`: ``c.model`` is the one compared with
        most of the references, ``c.truth`` the class y."""
        model, name, (lead, original) = c.model, c.truth, next(iter(c.says.items()))
        self._axis.set_xlabel(f"along {lead}'s gradient towards y (L2)", fontsize=9)
        own, most = c.says.get(model, original), c.share >= 0.5
        # A reference in the references' own grey couldn't be told from them.
        color = np.array(to_rgb(INK if model.startswith("Re-train") else style(model)["color"]))
        # 0 neither, 1 re-trained only, 2 the model only, 3 both
        paler = (1 - (1 - w) * (1 - color) for w in (0.1, 0.55))
        colors: list[Any] = ["#ffffff", "#d6d6d6", *paler]
        names = ["neither", "most re-trained only", f"{model} only", "both"]
        self._image.set_cmap(ListedColormap(colors))
        self._image.set_data(2 * own.astype(int) + most)
        edge = c.across[-1] + (c.across[1] - c.across[0]) / 2
        self._image.set_extent((-edge, edge, -edge, edge))
        self._axis.set(xlim=(-edge, edge), ylim=(-edge, edge))
        while self._drawn:
            self._drawn.pop().remove()
        handles: list[Any] = [
            Patch(fc=k, ec="#777777", lw=0.6, label=n) for k, n in zip(colors, names, strict=True)
        ]
        if model != lead and original.any() and not original.all():
            border: dict[str, Any] = {"colors": [INK], "linewidths": 1.2}
            self._drawn += [self._axis.contour(c.across, c.up, 1.0 * original, [0.5], **border)]
            handles.append(Line2D([], [], color=INK, lw=1.2, label=f"{lead}'s border"))
        self._drawn += [self.figure.legend(
            handles=handles, loc="lower left", ncols=2, fontsize=8, frameon=False,
            title=f"says {name}:", title_fontsize=8, alignment="left", borderaxespad=0.2,
        )]  # fmt: skip
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
