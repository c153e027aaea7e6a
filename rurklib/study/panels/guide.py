"""Guided steps above the inspector's panel: a button sets it and says what to see."""

from functools import partial
from typing import Any

import ipywidgets

from rurklib.study.inspector.steps import Step, steps
from rurklib.study.panels.inspector import InspectorPanel
from rurklib.study.panels.picture import status


def guided(panel: InspectorPanel) -> ipywidgets.Widget:
    """The panel below a row of buttons, one for each of its three steps
    (:func:`rurklib.study.inspector.steps.steps`). In between everything can be moved."""
    words = ipywidgets.HTML()

    def go(step: Step, _: Any) -> None:
        panel.set(**step.settings)
        words.value = status(f"{step.heading}. {step.text}")

    buttons = []
    for number, step in enumerate(steps(panel.inspector), 1):
        buttons.append(ipywidgets.Button(description=f"{number}. {step.name}"))
        buttons[-1].on_click(partial(go, step))
    flow = {"display": "flex", "flex_flow": "row wrap"}
    return ipywidgets.VBox(
        [ipywidgets.Box(buttons, layout=flow), words, panel.widget], layout={"overflow": "visible"}
    )
