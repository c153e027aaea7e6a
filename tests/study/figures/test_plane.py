"""The picture of the plane: one colour, one meaning."""

import numpy as np
from matplotlib.colors import to_rgb

from rurklib.study.figures.plane import APART, CLASSES, WHO, Regions
from rurklib.study.figures.style import style

NAMES = ("Original", "Re-train", "GD", "RURK")


def test_no_colour_of_a_class_means_something_else():
    """Fails if orange is versicolor, "only RURK" and "they differ" at once."""
    others = {APART, *(color for color, _ in WHO.values())}
    assert not others & set(CLASSES)
    assert WHO["model"][0] == style("RURK")["color"]
    assert len({marker for _, marker in WHO.values()}) == len(WHO)


def test_the_legend_names_every_colour():
    """Fails if the area where two models part is drawn in a colour that nothing explains."""
    none = np.zeros((0, 2)), np.zeros(0, int)
    figure = Regions(
        none, none, names=NAMES, classes=("a", "b", "c"), axes_names=("x", "y"), steps=[0, 2]
    ).figure
    (legend,) = figure.legends
    patches = {p.get_label(): p.get_facecolor()[:3] for p in legend.get_patches()}
    assert patches["RURK and re-trained differ"] == to_rgb(APART)
    texts = [t.get_text() for t in legend.get_texts()]
    assert len(texts) == len(set(texts)) == 10
    assert {"both", "only RURK", "only re-trained", "neither", "a", "b", "c"} <= set(texts)
