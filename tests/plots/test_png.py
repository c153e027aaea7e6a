"""A saved picture has the colours that were drawn, in few bytes, and says what it shows."""

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from PIL import Image

from rurklib.plots import STYLE, canvas, png, style


def test_a_small_mark_keeps_its_colour():
    """Fails with a median cut: a mark among many shades gets the colour of a larger neighbour."""
    figure, axis = canvas()
    for i, method in enumerate(STYLE):
        axis.fill_between([0, 1], [i, i], [i + 0.4, i + 0.2], alpha=0.15, **{
            "color": style(method)["color"]
        })  # fmt: skip
        axis.plot(0.5, i, ls="", ms=8, **style(method))
    content = png(figure, "every method")
    picture = Image.open(io.BytesIO(content))
    assert picture.text["Description"] == "every method"
    shown = np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(int)
    for method in STYLE:
        wanted = np.array(to_rgb(style(method)["color"])) * 255
        assert abs(shown - wanted).max(1).min() <= 6, method
    assert png(figure, "every method") == content


def test_a_title_wider_than_the_figure_is_broken():
    """Between words, none lost, the short line as it is. Fails if a long list of methods runs out
    of the picture."""
    figure, _ = canvas()
    names = "less sure: " + ", ".join(f"Method-{k}" for k in range(19))
    figure.suptitle(f"A short line\n{names}", x=0.01, ha="left", fontsize=12)
    png(figure)
    title = figure._suptitle
    box = title.get_window_extent(FigureCanvasAgg(figure).get_renderer())
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width
    assert title.get_text().startswith("A short line\nless sure: Method-0")
    assert title.get_text().split() == f"A short line {names}".split()
