"""The curves: every method is shown where its numbers are, or said to be beyond the edge."""

import numpy as np
import pandas as pd
import pytest

from rurklib.study.figures.curves import residual_curves
from rurklib.study.figures.style import style

TAUS = [0.0, 0.1, 0.2]


def frame(levels: dict[str, float]) -> pd.DataFrame:
    rows = []
    for method, level in {"Re-train": 1.0, **levels}.items():
        for seed in (0, 1):
            for tau in TAUS:
                value = 1 + (level - 1) * tau / TAUS[-1] + 0.01 * seed
                rows.append(
                    {"method": method, "seed": seed, "tau": tau, "ratio_of_means": value,
                     "null_low": 0.95, "null_high": 1.05, "difference": value - 1,
                     "null_difference_low": -0.05, "null_difference_high": 0.05}
                )  # fmt: skip
    return pd.DataFrame(rows)


FEW = {"Original": 1.1, "GD": 1.08, "RURK": 1.0}
MANY = {**FEW, "GA": 0.9, "SSD": 0.2, "CR": 1.0, "NTK": 1.02, "EU-k": 0.97}


def ends(axis, method: str) -> list[float]:
    """Last values of the lines in a method's colour."""
    return [
        float(line.get_ydata()[-1])
        for line in axis.get_lines()
        if line.get_color() == style(method)["color"] and line.get_marker() != "None"
    ]


def test_few_methods_share_one_picture():
    figure = residual_curves(frame(FEW), title="finding")
    (axis,) = figure.axes
    for method, level in FEW.items():
        assert ends(axis, method) == [pytest.approx(level + 0.005)]
    assert {"Original", "GD", "RURK", "re-trained\nmodels"} == {t.get_text() for t in axis.texts}
    assert axis.get_title(loc="left") == "finding"


def test_many_methods_have_a_panel_each():
    """Fails if a panel shows another method's line, or a method has none."""
    figure = residual_curves(frame(MANY), title="finding")
    shown = {a.get_title(loc="left"): a for a in figure.axes if a.get_title(loc="left")}
    assert set(shown) == set(MANY)
    for method, level in MANY.items():
        assert ends(shown[method], method) == [pytest.approx(level + 0.005)]
        assert len(shown[method].get_lines()) == 2 + len(
            MANY
        )  # its own, the target, all hair lines
    assert figure.get_suptitle() == "finding"
    (legend,) = figure.legends
    lines = legend.get_lines()
    assert [line.get_label() for line in lines] == ["the other methods, means"]
    hair = {(li.get_color(), li.get_linewidth()) for a in shown.values() for li in a.get_lines()}
    assert (lines[0].get_color(), lines[0].get_linewidth()) in hair


def test_a_curve_that_leaves_the_picture_says_where_it_ends():
    """Fails if the axis is stretched for one outlier, or the outlier vanishes without a word."""
    figure = residual_curves(frame(MANY), title="finding")
    texts = {a.get_title(loc="left"): [t.get_text() for t in a.texts] for a in figure.axes}
    assert texts["SSD"] == ["↓ 0.20"] or texts["SSD"] == ["↓ 0.21"]
    assert texts["GA"] == []
    low, high = figure.axes[0].get_ylim()
    assert 0.5 < low < 0.9 < 1.1 < high < 1.5


def test_differences_are_about_zero():
    figure = residual_curves(frame(FEW), title="finding", quantity="difference")
    (axis,) = figure.axes
    assert ends(axis, "Original") == [pytest.approx(0.105)]
    assert "Pr[m" in axis.get_ylabel()


def test_a_band_without_width_hides_no_curve():
    """Fails if the axis is scaled by the band alone: a class forgotten whole has a band of 0."""
    rows = frame(MANY).assign(null_difference_low=0.0, null_difference_high=0.0)
    figure = residual_curves(rows, title="finding", quantity="difference")
    low, high = figure.axes[0].get_ylim()
    assert low < rows.difference.min() <= rows.difference.max() < high
    flat = rows.assign(difference=0.0)
    low, high = residual_curves(flat, title="f", quantity="difference").axes[0].get_ylim()
    assert low < 0 < high


@pytest.mark.parametrize("levels", [FEW, MANY])
@pytest.mark.parametrize("which", [list(MANY), ["RURK"]])
def test_ratios_that_are_not_defined_leave_a_gap_and_no_error(levels, which):
    """A net of one epoch may never say the class: no reference then gives a denominator. Fails if a
    picture can't be drawn, or if one method without numbers moves another's."""
    rows = frame(levels)
    numbers = ["ratio_of_means", "null_low", "null_high"]
    rows.loc[rows.method.isin(which), numbers if len(which) > 1 else numbers[:1]] = float("nan")
    figure = residual_curves(rows, title="finding")
    figure.canvas.draw()
    low, high = figure.axes[0].get_ylim()
    assert low < high
    assert all(np.isfinite(t.get_position()[1]) for t in figure.axes[0].texts)
    if which == ["RURK"] and levels is MANY:
        shown = {a.get_title(loc="left"): a for a in figure.axes if a.get_title(loc="left")}
        assert ends(shown["GA"], "GA") == [pytest.approx(0.905)]
        assert not shown["RURK"].texts
