"""Lines over steps, settings and references: means, ranges and bands where the numbers are."""

import numpy as np
import pandas as pd
import pytest

from rurklib.study.figures.lines import band_growth, estimator_gap, lines
from rurklib.study.figures.style import style


def drawn(axis) -> dict:
    return {line.get_label(): list(line.get_ydata()) for line in axis.get_lines()}


def shades(axis) -> list[tuple[float, float]]:
    ends = [c.get_paths()[0].vertices[:, 1] for c in axis.collections if len(c.get_paths())]
    return [(e.min(), e.max()) for e in ends]


def test_a_line_is_the_mean_over_seeds_and_its_shade_their_range():
    frame = pd.DataFrame(
        {"p": "a", "method": ["RURK"] * 4 + ["Re-train"] * 2, "s": [0, 1] * 3,
         "v": [1.0, 2, 3, 4, 7, 8]}
    )  # fmt: skip
    figure = lines(frame, "s", "v", by="p", titles={"a": "A", "b": "B"}, title="t", log="y")
    (axis,) = figure.axes
    assert axis.get_title("left") == "A"
    assert drawn(axis) == {"RURK": [2.0, 3.0], "Re-train": [7.0, 8.0]}
    assert shades(axis) == [(1, 4), (7, 8)]
    assert axis.collections[0].get_alpha() == 0.15
    assert axis.collections[1].get_alpha() is None  # the re-trained models' is grey
    assert axis.get_yscale() == "log"


def test_a_setting_has_its_panels_bands_and_seeds():
    frame = pd.DataFrame({"clip": [1.0, 1, 3, 3] * 2, "seed": [0, 1] * 4,
                          "norm": ["frozen"] * 4 + ["train"] * 4,
                          "u": range(8), "t": range(10, 18)})  # fmt: skip
    figure = lines(frame, "clip", {"u": "U", "t": "T"}, group="norm", each=True, log="x",
                   grey={"u": (0.5, 2.0), "t": (11.0, 12.0)}, title="t")  # fmt: skip
    first, second = figure.axes
    assert (first.get_title("left"), second.get_title("left")) == ("U", "T")
    assert drawn(first)["norm frozen"] == [0.5, 2.5]
    assert drawn(second)["norm train"] == [14.5, 16.5]
    assert sorted(map(len, drawn(first).values())) == [2, 2, 4] or len(first.get_lines()) == 4
    band = first.patches[0].get_extents().transformed(first.transData.inverted())
    assert (band.y0, band.y1) == pytest.approx((0.5, 2.0))
    assert [t.get_text() for t in first.get_xticklabels()] == ["1", "3"]
    words = [t.get_text() for legend in figure.legends for t in legend.get_texts()]
    assert words == ["norm frozen", "norm train", "range of the re-trained models"]


def test_columns_may_be_lines_between_two_others():
    frame = pd.DataFrame(
        {"pair": ["x", "x", "y", "y"], "tau": [0, 1] * 2, "low": [0.0, 0.1] * 2,
         "high": [0.4, 0.5] * 2, "own": [0.2, 0.3, 0.6, 0.7], "same": 0.0}
    )  # fmt: skip
    figure = lines(frame, "tau", by="pair", group={"own": "own copies", "same": "the same"},
                   grey=("low", "high", "the bounds"), title="t")  # fmt: skip
    first, second = figure.axes
    assert drawn(first) == {"own copies": [0.2, 0.3], "the same": [0, 0]}
    assert drawn(second)["own copies"] == [0.6, 0.7]
    assert shades(first)[0] == (0.0, 0.5)
    assert "the bounds" in [t.get_text() for t in figure.legends[0].get_texts()]


def test_both_averages_and_what_has_none():
    frame = pd.DataFrame({"tau": [0, 1], "seed": 0, "ratio_of_means": [1.0, 1.1],
                          "mean_of_ratios": [1.0, 1.2], "undefined_share": [0.0, 0.3]})  # fmt: skip
    above, beside = estimator_gap(frame, title="t", unit="u").axes
    assert sorted(drawn(above).values()) == [[1.0, 1.1], [1.0, 1.2]]
    assert list(drawn(beside).values()) == [[0.0, 0.3]]
    assert above.get_ylim()[0] > 0.9


def test_growth_shows_single_references_and_the_mean_band():
    alone = pd.DataFrame(
        {"method": ["Original"] * 4, "model": "m", "subset": [0, 0, 1, 1], "tau": [0.0, 0.2] * 2,
         "ratio_of_means": [1.0, 1.1, 1.0, 1.3]}
    )  # fmt: skip
    fewer = pd.DataFrame(
        {"size": [2, 2, 3, 3], "subset": [0, 1, 0, 1], "tau": 0.2,
         "ratio_of_means": [1.1, 1.3, 1.2, 1.2], "null_low": 0.9, "null_high": [1.0, 1.2, 1.1, 1.1],
         "predict_low": [np.nan, np.nan, 0.8, 0.8], "predict_high": [np.nan, np.nan, 1.3, 1.3]}
    )  # fmt: skip
    left, right = band_growth(alone, fewer, method="Original", title="t", unit="u").axes
    assert {line.get_ydata()[-1] for line in left.get_lines()} >= {1.1, 1.3}
    (own,) = [li for li in right.get_lines() if li.get_color() == style("Original")["color"]]
    assert list(own.get_ydata()) == pytest.approx([1.2, 1.2])
    assert (0.9, pytest.approx(1.1)) in shades(right)
    assert right.get_ylim()[1] > 1.2


def test_nothing_defined_is_an_empty_picture():
    """A net of one epoch may never say the class. Fails if its study ends there."""
    alone = {"method": "Original", "model": "m", "subset": 0, "tau": [0.0, 0.2]}
    fewer = {"size": [2, 3], "subset": 0, "tau": 0.2}
    bands = ["ratio_of_means", "null_low", "null_high", "predict_low", "predict_high"]
    frames = (pd.DataFrame(d | dict.fromkeys(bands, np.nan)) for d in (alone, fewer))
    figure = band_growth(*frames, method="Original", title="t", unit="u")
    figure.draw_without_rendering()
    assert figure.axes[1].get_ylim() == pytest.approx((0.9, 1.1))
