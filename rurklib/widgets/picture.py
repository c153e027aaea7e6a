"""A figure that is drawn once and then changed: what makes a slider answer at once.

Building a matplotlib figure takes longer than drawing one. So a panel keeps its figure, moves the
artists in place and calls :meth:`Picture.show`, which renders the same canvas into an
``ipywidgets.Image``. The sentence below the picture says what it shows, for those who can't see it.
"""

from __future__ import annotations

import html
import io

import ipywidgets
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DPI = 100


class Picture:
    """A persistent figure in a widget, with its description in words.

    ``widget`` is what to display; ``png`` the bytes shown now; ``said`` the description shown now.
    """

    def __init__(self, figure: Figure) -> None:
        self.figure = figure
        self.canvas = FigureCanvasAgg(figure)
        self.said = ""
        wide = {"width": f"{figure.get_figwidth() * DPI:.0f}px", "max_width": "100%"}
        self._image = ipywidgets.Image(format="png", layout={**wide, "height": "auto"})
        self._words = ipywidgets.HTML()
        self.widget = ipywidgets.VBox([self._image, self._words])

    @property
    def png(self) -> bytes:
        return bytes(self._image.value)

    def show(self, said: str) -> None:
        """Render the figure as it is now; ``said`` describes it in a sentence or two."""
        buffer = io.BytesIO()
        # Little compression: the time goes into drawing, and the bytes travel only to a browser.
        self.canvas.print_png(buffer, pil_kwargs={"compress_level": 1})
        self._image.value = buffer.getvalue()
        self.said = said
        self._image.tooltip = said  # a picture without alt text is known by its title
        self._words.value = f'<div role="status" aria-live="polite">{html.escape(said)}</div>'
