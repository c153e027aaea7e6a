"""Around the inspector's panel: guided steps, whose buttons set it, and tasks that it checks."""

from collections.abc import Callable
from functools import partial
from typing import Any

import ipywidgets

from rurklib.study.inspector.steps import Step, steps
from rurklib.study.inspector.tasks import TASKS, Task, example, question
from rurklib.study.panels.inspector import InspectorPanel
from rurklib.study.panels.picture import status

FLOW = {"display": "flex", "flex_flow": "row wrap"}
# On a page of its own, what is asked and answered stays in sight below, whatever is moved, for a
# phone's screen is small. In JupyterLab it stands between the buttons and the panel.
BAR = """<style>
body[data-voila] :is(.lm-BoxPanel, .lm-BoxPanel-child) { contain: none !important; }
body[data-voila] .rurk-guided { padding-bottom: 14em; }
body[data-voila] .rurk-bar:has([role=status]) { position: fixed; bottom: 0; left: 0; right: 0;
  z-index: 8; max-height: 45vh; overflow: auto; padding: 0.4em 0.8em; background: white;
  box-shadow: 0 -2px 4px #0003; }
</style>"""


def guided(panel: InspectorPanel) -> ipywidgets.Widget:
    """The panel below two rows of buttons, one for each of its three steps
    (:func:`rurklib.study.inspector.steps.steps`) and one for each task, and a bar with what they
    say. In between everything can be moved."""
    words, (found, asked, close) = ipywidgets.HTML(), tasks(panel)

    def go(step: Step, _: Any) -> None:
        close()
        panel.set(**step.settings)
        words.value = status(f"{step.heading}. {step.text}")

    buttons = []
    for number, step in enumerate(steps(panel.inspector), 1):
        buttons.append(ipywidgets.Button(description=f"{number}. {step.name}"))
        buttons[-1].on_click(partial(go, step))
    for button in found:
        button.on_click(lambda _: setattr(words, "value", ""))
    bar = ipywidgets.VBox([ipywidgets.HTML(BAR), words, asked])
    bar.add_class("rurk-bar")
    panel.controls["sample"].observe(lambda _: setattr(words, "value", ""), "value")
    rows = [ipywidgets.Box(row, layout=FLOW) for row in (buttons, found)]
    whole = ipywidgets.VBox([*rows, bar, panel.widget], layout={"overflow": "visible"})
    whole.add_class("rurk-guided")
    return whole


def tasks(
    panel: InspectorPanel,
) -> tuple[list[ipywidgets.Button], ipywidgets.Widget, Callable[[], None]]:
    """Buttons, one for each of :data:`rurklib.study.inspector.tasks.TASKS`; what they fill; and a
    function that empties it again.

    A button says what is to be found. Then *check* says whether what is set shows it, or what is
    missing, and *show one* sets it."""
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

    def close() -> None:
        asked.value, said.value, row.layout.display = "", "", "none"

    for control in panel.widget and panel.controls.values():  # there once the widget is
        control.observe(moved, "value")
    buttons = [ipywidgets.Button(description=f"Find: {task.name}") for task in TASKS]
    for button, task in zip(buttons, TASKS, strict=True):
        button.on_click(partial(choose, task))
    check.on_click(checked)
    show.on_click(shown)
    row = ipywidgets.Box([check, show], layout=FLOW | {"display": "none"})
    return buttons, ipywidgets.VBox([asked, row, said]), close
