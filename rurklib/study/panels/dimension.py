"""The panel of Proposition 2's geometry: a slider for tau, shares of the sphere over dimension."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import ipywidgets
import pandas as pd

from rurklib import checks
from rurklib.study.figures.dimension import DimensionFigure
from rurklib.study.panels.picture import Picture


class DimensionPanel:
    """Shares of the sphere within tau of a disagreement, from a frame that was made before.

    ``frame`` is what ``rurklib.study.inspector.sphere.dimensions`` returns. ``tau`` is the state;
    ``figure``, ``said``, ``widget`` and ``picture`` are as in
    :class:`rurklib.study.panels.FlatPanel`, ``control`` is the slider.
    """

    def __init__(self, frame: pd.DataFrame, tau: float) -> None:
        self.frame, self.tau = frame, tau
        self.choices = sorted(frame.tau.unique().tolist())
        self._check(tau)
        self._drawing = DimensionFigure(frame)
        self.figure = self._drawing.figure
        self.picture = Picture(self.figure)
        self._show()

    @cached_property
    def control(self) -> ipywidgets.SelectionSlider:
        slider = ipywidgets.SelectionSlider(
            options=[(f"{t:g}", t) for t in self.choices], value=self.tau, description="tau",
            layout={"width": "26em"},
        )  # fmt: skip
        slider.observe(lambda change: self.set(tau=change["new"]), "value")
        return slider

    @cached_property
    def widget(self) -> ipywidgets.Widget:
        return ipywidgets.VBox([self.control, self.picture.widget])

    @property
    def rows(self) -> pd.DataFrame:
        """The rows that are shown."""
        return self.frame[self.frame.tau == self.tau]

    def set(self, tau: Any) -> None:
        """Show another radius; InputError for one that the frame doesn't have."""
        self._check(tau)
        if tau == self.tau:
            return
        self.tau = tau
        if "control" in self.__dict__:
            self.control.value = tau  # its observer finds nothing to change
        self._show()

    def _check(self, tau: Any) -> None:
        if tau not in self.choices:
            raise checks.InputError(
                f"tau = {tau!r}: expected one of {', '.join(map(str, self.choices))}"
            )

    def _show(self) -> None:
        rows = self.rows
        first, last = rows.iloc[0], rows.iloc[-1]
        title = (
            f"Within tau {self.tau:g} of a disagreement: at least {100 * first.hemisphere:.0f} % "
            f"of the sphere in {int(first.dimension)} dimensions,\n"
            f"{100 * last.hemisphere:.1f} % in {int(last.dimension)} (the bound says "
            f"{100 * last.bound:.1f} %)"
        )
        self._drawing.update(rows, title)
        self.said = (
            f"{title.replace(chr(10), ' ')}. Disagreements scattered over {int(first.caps)} caps "
            f"reach {100 * first.caps_drawn:.0f} % and {100 * last.caps_drawn:.1f} %."
        )
        self.picture.show(self.said)
