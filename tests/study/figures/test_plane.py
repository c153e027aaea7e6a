"""The picture of the plane: one colour, one meaning."""

import numpy as np
from matplotlib.colors import to_rgb

from rurklib.study.figures.plane import APART, CLASSES, WHO, Regions
from rurklib.study.figures.style import style


def test_every_colour_has_one_meaning_and_the_legend_names_it():
    """Fails if orange is versicolor, "only RURK" and "they differ" at once, or the area where two
    models part is drawn in a colour that nothing explains."""
    others = {APART, *(color for color, _ in WHO.values())}
    assert not others & set(CLASSES)
    assert WHO["only RURK"][0] == style("RURK")["color"]
    assert len({marker for _, marker in WHO.values()}) == len(WHO)
    none = np.zeros((0, 2)), np.zeros(0, int)
    names = {"classes": ("a", "b", "c"), "axes_names": ("x", "y")}
    (legend,) = Regions(none, none, **names, steps=[0, 2]).figure.legends
    patches = {p.get_label(): p.get_facecolor()[:3] for p in legend.get_patches()}
    assert patches["RURK and re-trained differ"] == to_rgb(APART)
    texts = [t.get_text() for t in legend.get_texts()]
    assert len(texts) == len(set(texts)) == 10
    assert {*WHO, "a", "b", "c"} <= set(texts)
