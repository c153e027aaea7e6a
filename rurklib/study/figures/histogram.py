"""How a number is spread over samples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from rurklib.study.figures.style import canvas, style


def sample_histogram(
    groups: Mapping[str, np.ndarray],
    *,
    title: str,
    xlabel: str,
    bins: int = 16,
) -> Figure:
    """How a number is spread over samples: one row per group, on common bins.

    ``groups``: values [samples] of a method, or [models, samples]: the bar is then the mean count
    over models, the line over it their range. Values that are NaN (no ratio) are left out.
    """
    defined = np.concatenate([v[np.isfinite(v)] for v in map(np.atleast_2d, groups.values())])
    edges = np.linspace(defined.min(initial=0.999), defined.max(initial=1.001), bins + 1)
    figure, axes = canvas(
        len(groups), 1, height=0.9 + 1.35 * len(groups), sharex=True, sharey=True, squeeze=False
    )
    for axis, (name, values) in zip(axes[:, 0], groups.items(), strict=True):
        counts = np.stack(
            [np.histogram(v[np.isfinite(v)], edges)[0] for v in np.atleast_2d(values)]
        )
        middle, mean = (edges[1:] + edges[:-1]) / 2, counts.mean(0)
        axis.bar(middle, mean, width=0.9 * np.diff(edges), color=style(name)["color"], alpha=0.8)
        if len(counts) > 1:
            axis.vlines(middle, counts.min(0), counts.max(0), color="#111111", lw=1)
        axis.axvline(1, color="#555555", lw=0.8, ls=":")
        axis.set_title(name, loc="left", fontweight="bold", fontsize=10.5)
        axis.set_ylabel("samples")
        axis.spines[["top", "right"]].set_visible(False)
    axes[-1, 0].set_xlabel(xlabel)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    return figure
