"""The panel of the plane: sliders for sample, ball and RURK's setting; a picture; a sentence.

It works without a browser: ``panel.set(tau=0.1)`` is what moving a slider does, ``panel.state`` and
``panel.said`` are what is shown. Nothing is computed here: :func:`rurklib.study.inspector.view`
says what to draw, :class:`rurklib.study.figures.RegionsFigure` draws it.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import cached_property
from typing import Any

import ipywidgets

from rurklib import checks
from rurklib.data.bundled import IRIS_FEATURES
from rurklib.study.figures.regions import RegionsFigure
from rurklib.study.inspector.flat import Flat
from rurklib.study.inspector.flat_ball import NORMS
from rurklib.study.inspector.flat_view import NAMES, State, view
from rurklib.study.panels.picture import Picture

TEXTS = {
    "sample": "forget sample",
    "lam": "lambda",
    "steps": "RURK steps",
    "reference": "re-trained",
}


TAUS = (0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2)


def regions_figure(flat: Flat, axes_names: tuple[str, str] = IRIS_FEATURES[:2]) -> RegionsFigure:
    """The figure of ``flat`` with nothing in it yet."""
    case = flat.case
    forget, kept = ((x.cpu().numpy(), y.cpu().numpy()) for x, y in (case.forget, case.retain))
    return RegionsFigure(
        forget, kept, names=NAMES, classes=case.data.classes, axes_names=axes_names,
        steps=flat.steps,
    )  # fmt: skip


class FlatPanel:
    """Decision regions and a ball around a forget sample.

    ``state`` is what is set, ``choices`` what can be (value: label, by the names of the state's
    fields), ``figure`` the picture, ``said`` the same in words. ``widget`` is what to display,
    ``controls`` its sliders, made when they are first asked for, and ``picture`` what they move.
    """

    def __init__(
        self,
        flat: Flat,
        state: State | None = None,
        axes_names: tuple[str, str] = IRIS_FEATURES[:2],
    ) -> None:
        self.flat = flat
        self.state = state or State(lam=flat.lambdas[len(flat.lambdas) // 2], steps=flat.steps[-1])
        labels = [flat.case.data.classes[c] for c in flat.case.forget[1].tolist()]
        self.choices: dict[str, dict[Any, str]] = {
            "sample": {k: f"{k + 1} ({label})" for k, label in enumerate(labels)},
            "tau": {tau: f"{tau:g}" for tau in sorted({*TAUS, self.state.tau})},
            "norm": {norm: norm for norm in NORMS},
            "lam": {lam: f"{lam:g}" for lam in flat.lambdas},
            "steps": {n: str(n) for n in flat.steps},
            "reference": {k: str(k + 1) for k in range(len(flat.references))},
        }
        self._drawing = regions_figure(flat, axes_names)
        self.figure = self._drawing.figure
        self.picture = Picture(self.figure)
        self._show()

    @cached_property
    def controls(self) -> dict[str, Any]:
        made = {name: self._control(name) for name in self.choices}
        for name, control in made.items():
            control.observe(lambda change, name=name: self.set(**{name: change["new"]}), "value")
        return made

    @cached_property
    def widget(self) -> ipywidgets.Widget:
        columns = [("sample", "tau", "norm"), ("lam", "steps", "reference")]
        boxes = [ipywidgets.VBox([self.controls[n] for n in column]) for column in columns]
        return ipywidgets.VBox([ipywidgets.HBox(boxes), self.picture.widget])

    def set(self, **values: Any) -> None:
        """Change fields of the state, by name; the sliders follow. Raises InputError, with nothing
        changed, for a field or value that there isn't."""
        for name, value in values.items():
            allowed = self.choices[checks.one_of("setting", name, self.choices)]
            if value not in allowed:
                raise checks.InputError(
                    f"{name} = {value!r}: expected one of {', '.join(map(str, allowed))}"
                )
        changed = replace(self.state, **values)
        if changed == self.state:
            return
        self.state = changed
        if "controls" in self.__dict__:
            for name, value in asdict(changed).items():
                self.controls[name].value = value  # its observer finds nothing to change
        self._show()

    def _show(self) -> None:
        shown = view(self.flat, self.state)
        self.said = shown.said
        self._drawing.update(**shown.drawn)
        self.picture.show(shown.said)

    def _control(self, name: str) -> Any:
        options = [(label, value) for value, label in self.choices[name].items()]
        if name == "norm":
            return ipywidgets.ToggleButtons(
                options=options, value=self.state.norm, description="norm",
                style={"button_width": "4em"},
            )  # fmt: skip
        return ipywidgets.SelectionSlider(
            options=options, value=getattr(self.state, name), description=TEXTS.get(name, name),
            continuous_update=True, style={"description_width": "7em"}, layout={"width": "26em"},
        )  # fmt: skip
