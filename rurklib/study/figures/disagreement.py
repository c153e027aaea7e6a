"""How often two models disagree on a neighbour, and what residual knowledge says of it."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from rurklib.study.figures.style import FURTHER, canvas

INDEPENDENT, SHARED = "#0173b2", "#d55e00"


def disagreement_bounds(panels: Mapping[str, pd.DataFrame], *, title: str, unit: str) -> Figure:
    """Adversarial disagreement over tau beside the bounds of Lemma A.4, a panel for each pair.

    Each frame has columns tau, lower, upper, independent (copies of its own for each model) and
    shared (both asked on the same copies): shares of (sample, copy) pairs, means over samples.
    """
    figure, axes = canvas(
        1, len(panels), width=4.6 * len(panels) + 0.6, height=4.2, sharey=True, squeeze=False
    )
    for axis, (name, rows) in zip(axes[0], panels.items(), strict=True):
        axis.fill_between(rows.tau, rows.lower, rows.upper, color=FURTHER, lw=0,
                          label="between the bounds of Lemma A.4")  # fmt: skip
        for column, color, marker, label in (
            ("independent", INDEPENDENT, "o", "copies of its own for each model"),
            ("shared", SHARED, "D", "the same copies for both"),
        ):
            axis.plot(rows.tau, rows[column], color=color, marker=marker, ms=5.5, label=label)
        axis.set_title(name, loc="left", fontsize=10.5)
        axis.set_xlabel(f"tau ({unit})")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0, 0].set_ylabel("adversarial disagreement E[k]")
    axes[0, 0].legend(frameon=False, fontsize=9, loc="upper left")
    figure.suptitle(title, x=0.01, ha="left", fontsize=12)
    return figure
