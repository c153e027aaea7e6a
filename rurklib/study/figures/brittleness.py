"""How a method's outcome hangs on one setting: every seed a dot, the mean a line."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from rurklib.study.figures.style import BAND, canvas

LOOK = {0: ("#029e73", "*", "-"), 1: ("#d55e00", "X", "--")}


def brittleness(
    frame: pd.DataFrame,
    *,
    setting: str,
    group: str,
    panels: Mapping[str, str],
    bands: Mapping[str, tuple[float, float]],
    title: str,
) -> Figure:
    """One panel per column in ``panels`` (column -> axis label) over the values of ``setting``.

    ``frame`` has a row per seed; ``group`` splits it into lines. ``bands`` gives the range of the
    re-trained models in each panel, drawn grey.
    """
    figure, axes = canvas(1, len(panels), width=9.5, height=3.9, squeeze=False)
    for axis, (column, label) in zip(axes[0], panels.items(), strict=True):
        axis.axhspan(*bands[column], color=BAND, alpha=0.8, lw=0, label="re-trained models")
        for i, (name, rows) in enumerate(frame.groupby(group, sort=False)):
            color, marker, line = LOOK[i % len(LOOK)]
            mean = rows.groupby(setting)[column].mean()
            axis.plot(mean.index, mean, color=color, ls=line, lw=1.8)
            axis.scatter(rows[setting], rows[column], color=color, marker=marker, s=42, lw=0,
                         alpha=0.75, label=f"{group} {name}, each seed")  # fmt: skip
        axis.set(xlabel=setting, ylabel=label, xscale="log")
        values = sorted(frame[setting].unique())
        axis.set_xticks(values, [f"{v:g}" for v in values])
        axis.minorticks_off()
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].legend(frameon=False, fontsize=9)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    return figure
