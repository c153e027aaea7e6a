"""Above the inspector's panel: guided steps, whose buttons set it, and tasks that it checks."""

from functools import partial
from typing import Any

import ipywidgets

from rurklib.study.inspector.steps import Step, steps
from rurklib.study.inspector.tasks import TASKS, Task, example, question
from rurklib.study.panels.inspector import InspectorPanel
from rurklib.study.panels.picture import status

FLOW = {"display": "flex", "flex_flow": "row wrap"}


def guided(panel: InspectorPanel) -> ipywidgets.Widget:
    """The panel below a row of buttons, one for each of its three steps
    (:func:`rurklib.study.inspector.steps.steps`), and one for each task. In between everything can
    be moved."""
    words = ipywidgets.HTML()

    def go(step: Step, _: Any) -> None:
        panel.set(**step.settings)
        words.value = status(f"{step.heading}. {step.text}")

    buttons = []
    for number, step in enumerate(steps(panel.inspector), 1):
        buttons.append(ipywidgets.Button(description=f"{number}. {step.name}"))
        buttons[-1].on_click(partial(go, step))
    parts = [ipywidgets.Box(buttons, layout=FLOW), words, tasks(panel), panel.widget]
    panel.controls["sample"].observe(lambda _: setattr(words, "value", ""), "value")
    return ipywidgets.VBox(parts, layout={"overflow": "visible"})


def tasks(panel: InspectorPanel) -> ipywidgets.Widget:
    """A button for each of :data:`rurklib.study.inspector.tasks.TASKS`. One says what is to be
    found; *check* says whether what is set shows it, or what is missing; *show one* sets it."""
    asked, said = ipywidgets.HTML(), ipywidgets.HTML()
    check, show = (ipywidgets.Button(description=text) for text in ("check", "show one"))
    chosen = [TASKS[0]]

    def choose(task: Task, _: Any) -> None:
        chosen[0], said.value = task, ""
        asked.value = status(question(panel.inspector, task))
        row.layout.display = FLOW["display"]

    def checked(_: Any) -> None:
        right, why = chosen[0].check(panel.inspector, panel.state)
        said.value = status(f"{'✓' if right else '✗'} {why}")

    def shown(_: Any) -> None:
        if (found := example(panel.inspector, chosen[0])) is None:
            said.value = status("None was found among the first samples: this may have no answer.")
        else:
            panel.set(**found)
            checked(_)

    def moved(_: Any) -> None:
        said.value = said.value and status("Something was moved: check again.")

    for control in panel.widget and panel.controls.values():  # there once the widget is
        control.observe(moved, "value")
    buttons = [ipywidgets.Button(description=f"Find: {task.name}") for task in TASKS]
    for button, task in zip(buttons, TASKS, strict=True):
        button.on_click(partial(choose, task))
    check.on_click(checked)
    show.on_click(shown)
    row = ipywidgets.Box([check, show], layout=FLOW | {"display": "none"})
    return ipywidgets.VBox([ipywidgets.Box(buttons, layout=FLOW), asked, row, said])
