"""The panel of Proposition 2's geometry: a slider for tau, shares of the sphere over dimension."""

from __future__ import annotations

from typing import Any

import ipywidgets
import pandas as pd

from rurklib import check
from rurklib.plots import DimensionFigure
from rurklib.widgets.picture import Picture


class DimensionPanel:
    """Shares of the sphere within tau of a disagreement, from a frame that was made before.

    ``frame`` is what ``rurklib.inspection.sphere.dimensions`` returns. ``widget``, ``tau`` (the
    state), ``figure`` and ``said`` as in :class:`rurklib.widgets.FlatPanel`.
    """

    def __init__(self, frame: pd.DataFrame, tau: float) -> None:
        self.frame, self.tau = frame, tau
        self._drawing = DimensionFigure(frame)
        self.figure = self._drawing.figure
        self.picture = Picture(self.figure)
        taus = sorted(frame.tau.unique().tolist())
        self._check(tau)
        self.control = ipywidgets.SelectionSlider(
            options=[(f"{t:g}", t) for t in taus], value=tau, description="tau",
            layout={"width": "26em"},
        )  # fmt: skip
        self.control.observe(lambda change: self.set(tau=change["new"]), "value")
        self.widget = ipywidgets.VBox([self.control, self.picture.widget])
        self._show()

    @property
    def said(self) -> str:
        return self.picture.said

    @property
    def rows(self) -> pd.DataFrame:
        """The rows that are shown."""
        return self.frame[self.frame.tau == self.tau]

    def set(self, tau: Any) -> None:
        """Show another radius; InputError for one that the frame doesn't have."""
        self._check(tau)
        if tau != self.tau:
            self.tau = tau
            self.control.value = tau
            self._show()

    def _check(self, tau: Any) -> None:
        taus = sorted(self.frame.tau.unique().tolist())
        if tau not in taus:
            raise check.InputError(f"tau = {tau!r}: expected one of {', '.join(map(str, taus))}")

    def _show(self) -> None:
        rows = self.rows
        first, last = rows.iloc[0], rows.iloc[-1]
        title = (
            f"Within tau {self.tau:g} of a disagreement: at least {100 * first.hemisphere:.0f} % "
            f"of the sphere in {int(first.dimension)} dimensions,\n"
            f"{100 * last.hemisphere:.1f} % in {int(last.dimension)} (the bound says {100 * last.bound:.1f} %)"
        )
        self._drawing.update(rows, title)
        self.picture.show(
            f"{title.replace(chr(10), ' ')}. Disagreements scattered over {int(first.caps)} caps "
            f"reach {100 * first.caps_drawn:.0f} % and {100 * last.caps_drawn:.1f} %."
        )
