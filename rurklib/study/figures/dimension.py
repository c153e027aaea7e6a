"""How the share of a sphere near a disagreement grows with dimension, for one radius at a time."""

from __future__ import annotations

import numpy as np
import pandas as pd

from rurklib.study.figures.style import INK, canvas

# column: label, colour, line, marker
LINES = {
    "caps_drawn": ("{caps} scattered caps, simulated", "#029e73", "", "o"),
    "hemisphere_drawn": ("a hemisphere, simulated", INK, "", "s"),
    "hemisphere": ("a hemisphere, exact: the worst case", INK, "-", ""),
    "bound": ("bound of Lemma A.2", "#d55e00", "--", ""),
}


class DimensionFigure:
    """Shares over dimension (log scale); built for the dimensions of ``frame``.

    ``frame`` has a row for each tau and dimension with the columns of :data:`LINES` and
    ``caps``, how many caps are scattered.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self.figure, self.axis = canvas(width=7.6, height=4.6)
        axis, dimensions = self.axis, np.unique(frame.dimension)
        self.lines = {}
        for column, (label, color, line, marker) in LINES.items():
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

    def update(self, rows: pd.DataFrame, title: str) -> None:
        """Show the rows of one tau, in order of dimension."""
        for column, line in self.lines.items():
            line.set_ydata(rows[column].to_numpy())
        self.title.set_text(title)
