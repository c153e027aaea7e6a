"""A figure that is drawn once and then changed: what makes a slider answer at once.

Building a matplotlib figure takes longer than drawing one. So a panel keeps its figure, moves the
artists in place and calls :meth:`Picture.show`, which renders the same canvas into a picture with
alt text (``ipywidgets.Image`` can't carry any, so it is an ``img`` in an HTML widget). The sentence
below the picture says the same for all to read.
"""

from __future__ import annotations

import base64
import html
import io
from functools import cached_property

import ipywidgets
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DPI = 100


class Picture:
    """A persistent figure in a widget, with its description in words.

    ``widget`` is what to display; ``png`` the bytes shown now; ``said`` the description shown now.
    The widget is made when it is first asked for: until then nothing is rendered, and a run without
    a browser stores no widgets in its notebook.
    """

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.canvas = FigureCanvasAgg(figure)
        self.said = ""

    def show(self, said: str) -> None:
        """Show the figure as it is now; ``said`` describes it in a sentence or two."""
        self.said = said
        self.__dict__.pop("png", None)
        if "widget" in self.__dict__:
            self._render()

    @cached_property
    def png(self) -> bytes:
        buffer = io.BytesIO()
        # Little compression: the time goes into drawing, and the bytes travel only to a browser.
        self.canvas.print_png(buffer, pil_kwargs={"compress_level": 1})
        return buffer.getvalue()

    @cached_property
    def widget(self) -> ipywidgets.Widget:
        layout = {"width": f"{self.figure.get_figwidth() * DPI:.0f}px", "max_width": "100%"}
        self._image = ipywidgets.HTML(layout={**layout, "margin": "0"})
        self._words = ipywidgets.HTML(layout={"width": "auto", "margin": "0 0 6px 0"})
        if self.said:
            self._render()
        return ipywidgets.VBox([self._image, self._words])

    def _render(self) -> None:
        width, height = self.canvas.get_width_height()
        words, content = html.escape(self.said), base64.b64encode(self.png).decode()
        # Width and height keep the place while the next picture is decoded: no jump, no flicker.
        self._image.value = (
            f'<img alt="{words}" width="{width}" height="{height}" '
            f'style="display: block; max-width: 100%; height: auto" '
            f'src="data:image/png;base64,{content}">'
        )
        self._words.value = (
            f'<div role="status" aria-live="polite" style="line-height: 1.4">{words}</div>'
        )
