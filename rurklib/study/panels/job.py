"""A button for work that takes longer, with a progress bar and a way to stop it.

The work is a generator of reports, each with ``done`` and ``total``. In a notebook's kernel each
step runs in a thread and the reports are shown by the kernel's own loop, which stays free for
sliders and for the stop button. Where no loop runs (a script, a test), it is done at once.
"""

from __future__ import annotations

import asyncio
import html
from collections.abc import Callable, Iterator
from typing import Any

import ipywidgets

from rurklib.checks import InputError


class Job:
    """``widget`` is what to display. ``begin`` makes the generator when the button is pressed;
    ``show`` is given each report. ``report`` is the last one (None: none, or taken back), and
    ``said`` how it stands in words."""

    def __init__(
        self, label: str, begin: Callable[[], Iterator[Any]], show: Callable[[Any], None]
    ) -> None:
        self._begin, self._show = begin, show
        self.report: Any = None
        self.running = False
        self._turn = 0  # of the work in hand; one that was taken over sees another number
        self.task: asyncio.Task[None] | None = None
        self.button = ipywidgets.Button(description=label, layout={"width": "auto"})
        self.cancel = ipywidgets.Button(
            description="cancel", disabled=True, layout={"width": "5em"}
        )
        self.bar = ipywidgets.IntProgress(min=0, max=1, layout={"flex": "1 1 6em", "width": "auto"})
        self._words, self.said = ipywidgets.HTML(), ""
        self.button.on_click(lambda _: self.start())
        self.cancel.on_click(lambda _: self.stop())
        row = ipywidgets.HBox([self.button, self.bar, self.cancel])
        self.widget = ipywidgets.VBox([row, self._words])

    def start(self) -> None:
        """Begin, from the start if it was begun before."""
        self._turn += 1
        self.report, self.running = None, True
        self.bar.value, self.bar.bar_style = 0, ""
        self.cancel.disabled, self.button.disabled = False, True
        self._tell("working")
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._at_once()
        else:
            self.task = loop.create_task(self._by_and_by(loop, self._turn))

    def stop(self, why: str = "cancelled") -> None:
        """Stop after the step in hand; what was reported stays as it is."""
        if self.running:
            self._finish(why, "warning")

    def forget(self) -> None:
        """Stop, and take back what was reported: it is about something else by now."""
        self.stop("")
        self.report = None
        self.bar.value, self.bar.bar_style = 0, ""
        self._tell("")

    def _at_once(self) -> None:
        turn, steps = self._turn, self._begin()
        try:
            while self._take(next(steps, None), turn):
                pass
        except InputError as error:
            self._finish(str(error), "danger")

    async def _by_and_by(self, loop: asyncio.AbstractEventLoop, turn: int) -> None:
        steps = self._begin()
        try:
            while self._take(await loop.run_in_executor(None, next, steps, None), turn):
                pass
        except InputError as error:
            if turn == self._turn and self.running:
                self._finish(str(error), "danger")

    def _take(self, report: Any, turn: int) -> bool:
        """Show a report; whether to go on."""
        if turn != self._turn or not self.running:
            return False
        if report is None:
            self._finish("done", "success")
            return False
        self.report = report
        self.bar.max, self.bar.value = report.total, report.done
        self._show(report)
        return True

    def _finish(self, said: str, look: str) -> None:
        self.running = False
        self._turn += 1
        self.cancel.disabled, self.button.disabled = True, False
        self.bar.bar_style = look
        self._tell(said)

    def _tell(self, said: str) -> None:
        self.said = said
        self._words.value = (
            f'<div role="status" style="line-height: 1.4">{html.escape(said)}</div>' if said else ""
        )
