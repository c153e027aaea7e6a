"""A method looks the same in all figures, and like no other; saved pictures keep it."""

import io
import itertools

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from PIL import Image

from rurklib.study.figures.scaffold import WIDEST, panels
from rurklib.study.figures.style import STYLE, VERDICTS, canvas, found, png, style
from rurklib.unlearn.contract import METHODS

# What a reader without one kind of cone sees, for linear RGB (Machado et al., 2009, severity 1).
SEEN_BY = {
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
               [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
               [-0.011820, 0.042940, 0.968881]],
}  # fmt: skip
DRAWN = [*STYLE, *(m for m in METHODS if m not in STYLE)]


def lightness_and_colour(color: str, matrix) -> np.ndarray:
    """CIE L*a*b* of a colour as seen."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(matrix) @ linear, 0, 1)
    xyz = np.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
                    [0.0193339, 0.1191920, 0.9503041]]) @ linear  # fmt: skip
    f = np.cbrt(np.maximum(xyz / [0.95047, 1.0, 1.08883], 0.008856))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def test_every_method_has_a_pair_of_colour_and_marker_of_its_own():
    pairs = [tuple(style(m).values()) for m in DRAWN]
    assert len(set(pairs)) == len(pairs)


@pytest.mark.parametrize("eye", SEEN_BY)
def test_methods_with_the_same_marker_differ_in_colour_for_any_eye(eye):
    """By 10 units of L*a*b* at least; 2.3 is just noticeable. Fails if a red and a green of the
    same lightness share a marker."""
    for a, b in itertools.combinations(DRAWN, 2):
        if style(a)["marker"] == style(b)["marker"]:
            seen = [lightness_and_colour(style(m)["color"], SEEN_BY[eye]) for m in (a, b)]
            assert np.linalg.norm(seen[0] - seen[1]) > 10, (a, b)


def test_verdicts_are_told_apart_by_any_eye_and_in_grey():
    """By colour for each eye, and without it by marker alone. Fails if two share one, if a side
    looks unlike its verdict, or if what is not known looks like none detected."""
    looks = [found(v) for v in VERDICTS]
    assert [look["label"] for look in looks] == list(VERDICTS)
    assert len({look["marker"] for look in looks}) == len(VERDICTS)
    assert len({look["ls"] for look in looks[:3]}) == 3
    for eye, (a, b) in itertools.product(SEEN_BY.values(), itertools.combinations(looks, 2)):
        seen = [lightness_and_colour(look["color"], eye) for look in (a, b)]
        assert np.linalg.norm(seen[0] - seen[1]) > 10, (a, b)
    alike = {"above": "residual knowledge", "inside": "none detected", "below": "over-forgotten"}
    for side, verdict in {**alike, "": "cannot be judged"}.items():
        assert found(side)["marker"] == found(verdict)["marker"]
    assert found(np.nan) == found("cannot be judged")


def test_no_figure_is_wider_than_a_page():
    with panels(dict.fromkeys("abcdef", ""), title="t", columns=6) as (figure, _):
        assert figure.get_figwidth() == WIDEST


def test_the_methods_of_the_first_figures_keep_their_looks():
    """Those that have been published. Fails if a new method moves an old one."""
    assert style("RURK") == {"color": "#029e73", "marker": "*"}
    assert style("GD") == {"color": "#0173b2", "marker": "^"}
    assert style("SSD")["marker"] == "h"


def test_a_small_mark_keeps_its_colour():
    """Fails with a median cut: a mark among many shades gets the colour of a larger neighbour."""
    figure, axis = canvas()
    for i, method in enumerate(STYLE):
        color = style(method)["color"]
        axis.fill_between([0, 1], [i, i], [i + 0.4, i + 0.2], alpha=0.15, color=color)
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
    names = "less sure: " + ", ".join(f"Method-{k}" for k in range(19))
    with panels({"": "below"}, title=f"A short line\n{names}") as (figure, axes):
        axes[""].plot([0, 1])
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    title = figure._suptitle
    box, below = (t.get_window_extent(renderer) for t in (title, axes[""]._left_title))
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width
    assert below.y1 < box.y0 < box.y1 <= figure.bbox.height  # there is room for all its lines
    lines = title._get_wrapped_text().split("\n")
    assert lines[0] == "A short line"
    assert lines[1].startswith("less sure: Method-0")
    assert " ".join(lines) == f"A short line {names}"
