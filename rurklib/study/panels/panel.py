"""A panel: a state, the controls that change it, and pictures of what is to be seen in it.

It works without a browser: ``panel.set(tau=0.1)`` is what moving a slider does, ``panel.view`` is
what is to be seen. A panel computes nothing and draws nothing: ``view`` says what is to be seen in
a state, each picture moves its artists.

Building a matplotlib figure takes longer than drawing one. So a panel keeps its figure, moves the
artists in place and renders the same canvas into a picture with its title as alternative text
(``ipywidgets.Image`` can't carry any, so it is an ``img`` in an HTML widget).

Work that takes longer is a generator of reports, each with ``done`` and ``total``. Each step runs
in a thread. In a notebook's kernel the reports are shown by the kernel's own loop, which stays free
for sliders and for the stop button; where no loop runs (a script, a test), :meth:`Job.start` ends
with the work.
"""

import asyncio
import base64
import contextlib
import html
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol

import ipywidgets
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rurklib import checks
from rurklib.checks import InputError

SCRIPT = Path(__file__).with_name("panel.js").read_text("utf-8")


class Picture(Protocol):
    """What a panel shows: ``update(view)`` moves the figure's artists and sets its title."""

    figure: Figure

    def update(self, view: Any) -> None: ...


def png(figure: Figure) -> bytes:
    """The figure as it is now, on the canvas that it keeps."""
    kept, buffer = figure.canvas, io.BytesIO()
    canvas = kept if isinstance(kept, FigureCanvasAgg) else FigureCanvasAgg(figure)
    # Little compression: the time goes into drawing, and the bytes travel only to a browser.
    canvas.print_png(buffer, pil_kwargs={"compress_level": 1})
    return buffer.getvalue()


def status(said: str) -> str:
    """Words as HTML that a screen reader reads out when they change; nothing if there are none."""
    words = html.escape(said)
    style = "line-height: 1.4; overflow-wrap: anywhere"  # a path may be wider than a phone
    frame = '<div role="status" aria-live="polite" style="{}">{}</div>'
    return frame.format(style, words) if words else ""


def explained(named: Mapping[str, str]) -> str:
    """What each control does, as HTML that opens on a click; nothing where nothing is said."""
    told = "<br>".join(f"<b>{n}</b>: {html.escape(said)}" for n, said in named.items() if said)
    return told and f"<details><summary>What each control does</summary>{told}</details>"


class Shown(ipywidgets.HTML):
    """A figure as a widget, out of sight until :meth:`show` renders it."""

    def __init__(self, picture: Picture) -> None:
        self._picture, figure = picture, picture.figure
        self.pixels = round(figure.get_figwidth() * figure.dpi)
        super().__init__(layout={"width": f"{self.pixels}px", "max_width": "100%", "margin": "0"})
        self.hide()

    def hide(self) -> None:
        """Take it from sight."""
        self.layout.display = "none"

    def show(self) -> None:
        """Show the figure as it is now."""
        content = base64.b64encode(png(self._picture.figure)).decode()
        title = html.escape(self._picture.figure.get_suptitle())
        width, height = self._picture.figure.canvas.get_width_height()
        # Width and height keep the place while the next picture is decoded: no jump, no flicker.
        self.value = (
            f'<img alt="{title}" width="{width}" height="{height}" '
            f'style="display: block; max-width: 100%; height: auto" '
            f'onload="{html.escape(SCRIPT)}" '
            f'src="data:image/png;base64,{content}">'
        )
        self.layout.display = ""


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


State = dict[str, Any]  # the settings by name
PHONE = 372  # pixels: a column as wide as a phone


@dataclass(frozen=True)
class Choice:
    """What can be set: values with their labels, or a range of whole numbers. Names are offered as
    a menu, numbers as a slider. ``used`` False: it means nothing for what is set now. ``help`` says
    in a line what it is."""

    text: str
    options: Mapping[Any, str] | range
    used: bool = True
    help: str = ""

    @property
    def named(self) -> bool:
        return all(isinstance(value, str) for value in self.options)

    def check(self, name: str, value: Any) -> None:
        """InputError, with the nearest names or the values that there are, for any other value."""
        known = list(self.options)
        if self.named:
            checks.one_of(name, value, known)
        elif value not in known:
            some = known if len(known) < 12 else [known[0], known[1], "...", known[-1]]
            listed = ", ".join(map(str, some))
            raise checks.InputError(f"{name} = {value!r}: expected one of {listed}")

    @property
    def traits(self) -> State:
        """What of the control depends on the choice."""
        r = self.options
        if isinstance(r, range):
            return {"min": r[0], "max": r[-1], "disabled": not self.used}
        return {"options": tuple((text, v) for v, text in r.items()), "disabled": not self.used}

    def control(self, value: Any) -> Any:
        """The control, set to a value."""
        w = ipywidgets
        kind = w.IntSlider if isinstance(self.options, range) else w.SelectionSlider
        return (w.Dropdown if self.named else kind)(
            **self.traits, value=value, description=self.text, tooltip=self.help,
            style={"description_width": "7em"}, layout={"width": "auto", "margin": "2px 0"},
        )  # fmt: skip


@dataclass(frozen=True)
class Slow:
    """Work behind a button: ``begin(state)`` yields reports, each with ``done`` and ``total``, and
    ``picture`` shows them until a field changes that they are about. ``help`` as of a choice;
    ``unasked``: in a kernel it begins by itself."""

    label: str
    begin: Callable[[State], Iterator[Any]]
    picture: Picture
    help: str = ""
    unasked: bool = False


class Panel:
    """``state`` is what is set, ``view`` what is to be seen.

    ``choices(state)`` says what can be set, by the state's names; ``adapt(state, values)`` is the
    state after a change of some values, where others follow. ``about``: the fields that a picture
    or slow work depends on, where it isn't all. ``widget`` is what to display, ``columns`` its
    parts by name: controls, pictures, slow work with its picture. ``controls``, ``jobs`` and
    ``shown`` hold the widgets by name once ``widget`` was asked for: a notebook without a browser
    stores none.
    """

    def __init__(
        self,
        state: State,
        choices: Callable[[State], Mapping[str, Choice]],
        view: Callable[[State], Any],
        pictures: Mapping[str, Picture],
        slow: Mapping[str, Slow] | None = None,
        *,
        columns: Sequence[Sequence[str]],
        about: Mapping[str, AbstractSet[str]] | None = None,
        adapt: Callable[[State, State], State] = lambda state, values: {**state, **values},
    ) -> None:
        self.state, self.pictures, self.slow = state, pictures, slow or {}
        self._choices, self._view, self._adapt = choices, view, adapt
        self._columns, self._about, self._quiet = columns, about or {}, False
        self.controls: dict[str, Any] = {}
        self.jobs: dict[str, Job] = {}
        self.shown: dict[str, Shown] = {}
        self._check(state)
        self._draw(set(state))

    def set(self, **values: Any) -> None:
        """Change fields of the state, by name; controls and pictures follow. Raises InputError,
        with nothing changed, for a field or value that there isn't."""
        for name in values:
            checks.one_of("setting", name, self.state)
        new = self._adapt(self.state, values)
        self._check(new)
        changed = {name for name in new if new[name] != self.state[name]}
        self.state = new
        if changed:
            self._follow()
        for name, job in self.jobs.items():
            if changed & self._about.get(name, changed):
                job.forget()
                self.shown[name].hide()
                self._begin(name)
        self._draw(changed)

    def part(self, name: str) -> list[ipywidgets.Widget]:
        """The widgets of a name in ``columns``."""
        jobs = {n: job.widget for n, job in self.jobs.items()}
        return [every[name] for every in (self.controls, jobs, self.shown) if name in every]

    @cached_property
    def widget(self) -> ipywidgets.Widget:
        """Columns that wrap: side by side on a desk, one below the other on a phone."""
        offered = self._choices(self.state)
        self.controls = {n: self._control(n, c) for n, c in offered.items()}
        self.jobs = {n: self._job(n, slow) for n, slow in self.slow.items()}
        drawn = {**self.pictures, **{n: slow.picture for n, slow in self.slow.items()}}
        self.shown = {n: Shown(picture) for n, picture in drawn.items()}
        for name in self.pictures:
            self.shown[name].show()
        columns = []
        for names in self._columns:
            parts = [part for name in names for part in self.part(name)]
            wide = max([PHONE, *(p.pixels + 12 for p in parts if isinstance(p, Shown))])
            layout = {"width": f"{wide}px", "max_width": "100%", "margin": "0 14px 0 0"}
            columns.append(ipywidgets.VBox(parts, layout=layout))
        for name in self.jobs:
            self._begin(name)
        flow = {"display": "flex", "flex_flow": "row wrap", "align_items": "flex-start"}
        named = {c.text: c.help for c in offered.values()}
        named |= {s.label: s.help for s in self.slow.values()}
        parts = [*columns, ipywidgets.HTML(explained(named))]
        return ipywidgets.Box(parts, layout={**flow, "width": "100%", "overflow": "visible"})

    def _begin(self, name: str) -> None:
        if self.slow[name].unasked:
            self.jobs[name].start_soon()

    def _check(self, state: State) -> None:
        for name, choice in self._choices(state).items():
            choice.check(name, state[name])

    def _draw(self, changed: AbstractSet[str]) -> None:
        """Show the pictures that depend on one of these fields."""
        names = [name for name in self.pictures if changed & self._about.get(name, changed)]
        if names:
            self.view = self._view(self.state)
        for name in names:
            self._show(name, self.pictures[name], self.view)

    def _show(self, name: str, picture: Picture, view: Any) -> None:
        picture.update(view)
        if name in self.shown:
            self.shown[name].show()

    def _control(self, name: str, choice: Choice) -> Any:
        control = choice.control(self.state[name])

        def moved(change: Any) -> None:
            if not self._quiet:
                self.set(**{name: change["new"]})

        control.observe(moved, "value")
        return control

    def _job(self, name: str, slow: Slow) -> Job:
        show = partial(self._show, name, slow.picture)
        return Job(slow.label, lambda: slow.begin(self.state), show)

    def _follow(self) -> None:
        """Set the controls as the state is."""
        self._quiet, choices = True, self._choices(self.state)
        try:
            for name, control in self.controls.items():
                with control.hold_sync():  # one message: in two, a slider would jump between
                    for trait, value in {**choices[name].traits, "value": self.state[name]}.items():
                        setattr(control, trait, value)
        finally:
            self._quiet = False
