"""A figure that is drawn once and then changed: what makes a slider answer at once.

Building a matplotlib figure takes longer than drawing one. So a panel keeps its figure, moves the
artists in place and renders the same canvas into a picture with its title as alternative text
(``ipywidgets.Image`` can't carry any, so it is an ``img`` in an HTML widget).
"""

import base64
import html
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import ipywidgets
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

SCRIPT = Path(__file__).with_name("panel.js").read_text("utf-8")


class Picture(Protocol):
    """What a panel shows: ``update(view)`` moves the figure's artists and returns its title."""

    figure: Figure

    def update(self, view: Any) -> str: ...


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

    def show(self, title: str) -> None:
        """Show the figure as it is now."""
        content = base64.b64encode(png(self._picture.figure)).decode()
        width, height = self._picture.figure.canvas.get_width_height()
        # Width and height keep the place while the next picture is decoded: no jump, no flicker.
        self.value = (
            f'<img alt="{html.escape(title)}" width="{width}" height="{height}" '
            f'style="display: block; max-width: 100%; height: auto" '
            f'onload="{html.escape(SCRIPT)}" '
            f'src="data:image/png;base64,{content}">'
        )
        self.layout.display = ""
