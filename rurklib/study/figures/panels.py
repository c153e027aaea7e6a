"""The same curves side by side: a panel for each law, or for each control."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rurklib.study.figures.curves import QUANTITIES, bands, draw_bands, draw_curve, key
from rurklib.study.figures.style import canvas, style


def curve_panels(
    frame: pd.DataFrame,
    by: str,
    titles: Mapping[str, str],
    *,
    title: str,
    quantity: str = "ratio_of_means",
    units: Mapping[str, str] | None = None,
    columns: int = 3,
    share: bool = False,
    about: str = "this forget set",
    at_least: float = 0.2,
) -> Figure:
    """Residual knowledge over tau, a panel for each value of the column ``by`` of ``frame``.

    ``frame`` is as :func:`residual_curves` takes it, with that column; ``titles`` names its values
    in the order of the panels, ``units`` their radii; ``about`` is what the bands hold for.
    ``share``: one scale for all panels, to compare controls; else each has its own, wide enough for
    its bands but not below ``at_least`` times the highest point, for an attack may leave nothing of
    a method.
    """
    names = list(titles)
    label, _, _, target = QUANTITIES[quantity]
    columns = min(columns, len(names))
    rows = -(-len(names) // columns)
    figure, axes = canvas(
        rows, columns, width=3.4 * columns + 0.4, height=1.2 + 2.6 * rows, sharey=share,
        squeeze=False,
    )  # fmt: skip
    methods: list[str] = []
    for axis, name in zip(axes.flat, names, strict=False):
        part = frame[frame[by] == name]
        null = bands(part, quantity)
        draw_bands(axis, null, target)
        shown = part[part.method != "Re-train"]
        curves = shown.groupby(["method", "tau"], sort=False)[quantity].agg(["mean", "min", "max"])
        for method in shown.method.unique():
            draw_curve(axis, curves.loc[method], method)
            methods += [method] if method not in methods else []
        axis.set_title(titles[name], loc="left", fontsize=10.5)
        taus = list(null.index)
        ticks = [taus[0], taus[len(taus) // 2], taus[-1]]
        axis.set_xticks(ticks, [f"{t:.2g}" for t in ticks])
        axis.set_xlabel(f"tau ({units[name]})" if units else "tau", fontsize=9.5)
        if not share:
            low, high = axis.get_ylim()
            axis.set_ylim(max(low, at_least * high) if target > 0 else low, high)
    for axis in axes.flat[len(names) :]:
        axis.set_axis_off()
    figure.supylabel(label, fontsize=10.5)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    looks = [Line2D([], [], lw=1.8, ms=6, label=m, **style(m)) for m in methods]
    figure.legend(handles=looks, loc="outside lower left", ncols=len(looks), frameon=False,
                  fontsize=9)  # fmt: skip
    key(figure, bands(frame[frame[by] == names[0]], quantity), about)
    return figure
