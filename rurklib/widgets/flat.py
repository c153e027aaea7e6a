"""The panel of the plane: sliders for sample, ball and RURK's setting; a picture; a sentence.

It works without a browser: ``panel.set(tau=0.1)`` is what moving a slider does, ``panel.state`` and
``panel.said`` are what is shown. Nothing is computed here: :func:`rurklib.inspection.view` says
what to draw, :class:`rurklib.plots.RegionsFigure` draws it.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import ipywidgets

from rurklib import check
from rurklib.data.iris import FEATURES
from rurklib.inspection import NAMES, Flat, State, view
from rurklib.inspection.flat_ball import NORMS
from rurklib.plots import RegionsFigure
from rurklib.widgets.picture import Picture

TAUS = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2)


def regions_figure(flat: Flat, axes_names: tuple[str, str] = FEATURES[:2]) -> RegionsFigure:
    """The figure of ``flat`` with nothing in it yet."""
    case = flat.case
    forget, kept = ((x.cpu().numpy(), y.cpu().numpy()) for x, y in (case.forget, case.retain))
    return RegionsFigure(
        forget, kept, names=NAMES, classes=case.data.classes, axes_names=axes_names,
        steps=flat.steps,
    )  # fmt: skip


class FlatPanel:
    """Decision regions and a ball around a forget sample.

    ``widget`` is what to display, ``state`` what is set, ``figure`` the picture, ``said`` the same
    in words; ``controls`` are the sliders by the names of the state's fields.
    """

    def __init__(
        self, flat: Flat, state: State | None = None, axes_names: tuple[str, str] = FEATURES[:2]
    ) -> None:
        self.flat = flat
        self.state = state or State(lam=flat.lambdas[len(flat.lambdas) // 2], steps=flat.steps[-1])
        self._drawing = regions_figure(flat, axes_names)
        self.figure = self._drawing.figure
        self.picture = Picture(self.figure)
        labels = [flat.case.data.classes[c] for c in flat.case.forget[1].tolist()]
        samples = [(f"{k + 1} ({label})", k) for k, label in enumerate(labels)]
        references = [(str(k + 1), k) for k in range(len(flat.references))]
        taus = sorted({*TAUS, self.state.tau})
        self.controls: dict[str, Any] = {
            "sample": self._slider("forget sample", samples, "sample"),
            "tau": self._slider("tau", [(f"{t:g}", t) for t in taus], "tau"),
            "norm": ipywidgets.ToggleButtons(
                options=list(NORMS), value=self.state.norm, description="norm",
                style={"button_width": "4em"},
            ),
            "lam": self._slider("lambda", [(f"{v:g}", v) for v in flat.lambdas], "lam"),
            "steps": self._slider("RURK steps", [(str(n), n) for n in flat.steps], "steps"),
            "reference": self._slider("re-trained", references, "reference"),
        }  # fmt: skip
        for name, control in self.controls.items():
            control.observe(lambda change, name=name: self.set(**{name: change["new"]}), "value")
        columns = [("sample", "tau", "norm"), ("lam", "steps", "reference")]
        boxes = [ipywidgets.VBox([self.controls[n] for n in column]) for column in columns]
        self.widget = ipywidgets.VBox([ipywidgets.HBox(boxes), self.picture.widget])
        self._show()

    @property
    def said(self) -> str:
        return self.picture.said

    def set(self, **values: Any) -> None:
        """Change fields of the state, by name; the sliders follow. Raises InputError, with nothing
        changed, for a field or value that there isn't."""
        for name, value in values.items():
            check.one_of("setting", name, self.controls)
            options = self.controls[name].options
            allowed = [o[1] if isinstance(o, tuple) else o for o in options]
            if value not in allowed:
                raise check.InputError(
                    f"{name} = {value!r}: expected one of {', '.join(map(str, allowed))}"
                )
        changed = replace(self.state, **values)
        if changed == self.state:
            return
        self.state = changed
        for name, value in asdict(changed).items():
            self.controls[name].value = value  # its observer finds the state as it is, and stops
        self._show()

    def _show(self) -> None:
        shown = view(self.flat, self.state)
        self._drawing.update(**shown.drawn)
        self.picture.show(shown.said)

    def _slider(self, text: str, options: list[tuple[str, Any]], field: str) -> Any:
        return ipywidgets.SelectionSlider(
            options=options, value=getattr(self.state, field), description=text,
            continuous_update=True, style={"description_width": "7em"}, layout={"width": "26em"},
        )  # fmt: skip
