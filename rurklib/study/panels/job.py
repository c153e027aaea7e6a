"""A button for work that takes longer, with a progress bar and a way to stop it.

The work is a generator of reports, each with ``done`` and ``total``. Each step runs in a thread. In
a notebook's kernel the reports are shown by the kernel's own loop, which stays free for sliders and
for the stop button; where no loop runs (a script, a test), :meth:`Job.start` ends with the work.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import ipywidgets

from rurklib.checks import InputError
from rurklib.study.panels.picture import status

PAUSE = 0.3  # seconds without a move before work begins by itself


class Job:
    """``widget`` is what to display. ``begin`` makes the generator when the button is pressed;
    ``show`` is given each report. ``report`` is the last one (None: none, or taken back), and
    ``said`` how it stands in words."""

    def __init__(
        self, label: str, begin: Callable[[], Iterator[Any]], show: Callable[[Any], None]
    ) -> None:
        self._begin, self._show = begin, show
        self.report: Any = None
        self.said, self.running = "", False
        self._turn = 0  # of the work in hand; one that was taken over sees another number
        self.task: asyncio.Task[None] | None = None
        self.button = ipywidgets.Button(description=label, layout={"width": "auto"})
        self.cancel = ipywidgets.Button(
            description="cancel", disabled=True, layout={"width": "5em"}
        )
        self.bar = ipywidgets.IntProgress(min=0, max=1, layout={"flex": "1 1 6em", "width": "auto"})
        self._words = ipywidgets.HTML()
        self.button.on_click(lambda _: self.start())
        self.cancel.on_click(lambda _: self.stop())
        row = ipywidgets.HBox([self.button, self.bar, self.cancel])
        self.widget = ipywidgets.VBox([row, self._words])

    def start(self) -> None:
        """Begin, from the start if it was begun before."""
        self._now("working", running=True)
        self.report, self.bar.value = None, 0
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            asyncio.run(self._work(self._turn))
        else:
            self.task = loop.create_task(self._work(self._turn))

    def start_soon(self) -> None:
        """Begin unasked, when nothing has moved for a moment; only in a kernel's loop."""
        with contextlib.suppress(RuntimeError):
            self.task = asyncio.get_running_loop().create_task(self._later(self._turn))

    async def _later(self, turn: int) -> None:
        await asyncio.sleep(PAUSE)
        if turn == self._turn:
            self.start()

    def stop(self) -> None:
        """Stop after the step in hand; what was reported stays as it is."""
        if self.running:
            self._now("cancelled", "warning")

    def forget(self) -> None:
        """Stop, and take back what was reported: it is about something else by now."""
        self._now("")
        self.report, self.bar.value = None, 0

    async def _work(self, turn: int) -> None:
        steps = self._begin()
        try:
            while (report := await asyncio.to_thread(next, steps, None)) is not None:
                if turn != self._turn:
                    return
                self.report = report
                self.bar.max, self.bar.value = report.total, report.done
                self._show(report)
        except InputError as error:
            said, look = str(error), "danger"
        else:
            said, look = "done", "success"
        if turn == self._turn:
            self._now(said, look)

    def _now(self, said: str, look: str = "", *, running: bool = False) -> None:
        """How it stands: whatever was in hand before is no longer waited for."""
        self._turn += 1
        self.said, self.running = said, running
        self.button.disabled, self.cancel.disabled = running, not running
        self.bar.bar_style, self._words.value = look, status(said)
