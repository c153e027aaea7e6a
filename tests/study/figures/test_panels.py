"""Panels, growth and histograms show the numbers that they are given."""

import numpy as np
import pandas as pd
import pytest

from rurklib.study.figures.curves import bands
from rurklib.study.figures.growth import band_growth
from rurklib.study.figures.histogram import sample_histogram
from rurklib.study.figures.panels import curve_panels
from rurklib.study.figures.style import style

TAUS = [0.0, 0.1, 0.2]


def frame(level: float, **columns) -> pd.DataFrame:
    rows = []
    for method, top in (("Re-train", 1.0), ("Original", level), ("RURK", 2 - level)):
        for tau in TAUS:
            ratio = 1 + (top - 1) * tau / 0.2
            rows.append(
                {"method": method, "seed": 0, "tau": tau, "ratio_of_means": ratio,
                 "null_low": 0.95, "null_high": 1.05,
                 "predict_low": 0.9 if method != "Re-train" else 0.1,
                 "predict_high": 1.1 if method != "Re-train" else 9.0, **columns}
            )  # fmt: skip
    return pd.DataFrame(rows)


def lines(axis, method):
    return [
        list(line.get_ydata())
        for line in axis.get_lines()
        if line.get_color() == style(method)["color"] and line.get_marker() != "None"
    ]


def test_the_band_is_a_models_and_not_a_held_out_references():
    """A reference's own row predicts from one fewer. Fails if the first row of all is taken."""
    null = bands(frame(1.2), "ratio_of_means")
    assert (null.predict_low == 0.9).all()
    assert (null.predict_high == 1.1).all()
    assert (null.low == 0.95).all()
    assert bands(frame(1.2).assign(difference=0.0), "difference").isna().all(axis=None)


def test_each_panel_shows_its_own_rows():
    rows = pd.concat([frame(1.2, law="a"), frame(1.4, law="b")])
    figure = curve_panels(rows, "law", {"a": "first", "b": "second"}, title="t", share=True)
    first, second = figure.axes
    assert first.get_title(loc="left") == "first"
    assert lines(first, "Original") == [pytest.approx([1.0, 1.1, 1.2])]
    assert lines(second, "Original") == [pytest.approx([1.0, 1.2, 1.4])]
    assert lines(second, "RURK") == [pytest.approx([1.0, 0.8, 0.6])]
    words = [t.get_text() for legend in figure.legends for t in legend.get_texts()]
    assert {"Original", "RURK", "a further one, 95 %"} <= set(words)
    assert figure.legends[1].get_title().get_text() == "grey, for this forget set:"


def test_what_an_attack_leaves_nothing_of_is_cut_off():
    rows = frame(1.2, law="a")
    rows.loc[rows.method == "RURK", "ratio_of_means"] = 0.0
    (axis,) = curve_panels(rows, "law", {"a": "x"}, title="t").axes
    assert axis.get_ylim()[0] > 0.2


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
    ends = [line.get_ydata()[-1] for line in left.get_lines() if len(line.get_ydata()) == 2]
    assert {1.1, 1.3} <= set(ends)
    assert lines(right, "Original") == [pytest.approx([1.2, 1.2])]
    assert right.get_ylim()[1] > 1.2


def test_a_histogram_counts_samples_and_leaves_out_those_without_a_ratio():
    groups = {"Original": np.array([[1.0, 1.0, 2.0, np.nan]]), "RURK": np.array([0.5, 1.0])}
    figure = sample_histogram(groups, title="t", xlabel="x", bins=3)
    first, second = figure.axes
    assert [p.get_height() for p in first.patches] == [0, 2, 1]
    assert [p.get_height() for p in second.patches] == [1, 1, 0]


def test_nothing_defined_is_an_empty_picture():
    """A net of one epoch may never say the class. Fails if its study ends there."""
    empty = sample_histogram({"Original": np.full((2, 3), np.nan)}, title="t", xlabel="x")
    assert sum(p.get_height() for p in empty.axes[0].patches) == 0
    alone = {"method": "Original", "model": "m", "subset": 0, "tau": [0.0, 0.2]}
    fewer = {"size": [2, 3], "subset": 0, "tau": 0.2}
    bands = ["ratio_of_means", "null_low", "null_high", "predict_low", "predict_high"]
    frames = (pd.DataFrame(d | dict.fromkeys(bands, np.nan)) for d in (alone, fewer))
    figure = band_growth(*frames, method="Original", title="t", unit="u")
    figure.canvas.draw()
    assert figure.axes[1].get_ylim() == pytest.approx((0.9, 1.1))
