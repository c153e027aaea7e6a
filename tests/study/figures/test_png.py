"""A saved picture has the colours that were drawn, in few bytes, and says what it shows."""

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from PIL import Image

from rurklib.study.figures.style import STYLE, canvas, png, style


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


def test_so_is_the_title_of_a_figure_with_one_panel():
    """Fails if notebook 5's title ends in the middle of a number."""
    figure, axis = canvas()
    words = "At the largest tau Original has 1.058, RURK 0.967; test accuracy 99.33 and 99.16 %"
    axis.set_title(words, loc="left")
    axis.set_ylabel("y")
    png(figure)
    title = axis._left_title
    box = title.get_window_extent(FigureCanvasAgg(figure).get_renderer())
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width
    assert 0 <= box.y0 < box.y1 <= figure.bbox.height  # and there is room for its second line
    assert title.get_text().split() == words.split()
