"""A saved picture has the colours that were drawn, in few bytes, and says what it shows."""

import io

import numpy as np
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
