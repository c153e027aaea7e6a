"""The curves: every method is shown where its numbers are, or said to be beyond the edge."""

import numpy as np
import pandas as pd
import pytest

from rurklib.study.figures.curves import against_references, bands, cell_curve, residual_curves
from rurklib.study.figures.style import found, style

TAUS = [0.0, 0.1, 0.2]
FEW = {"Original": 1.1, "GD": 1.08, "RURK": 1.0}
MANY = {**FEW, "GA": 0.9, "SSD": 0.2, "CR": 1.0, "NTK": 1.02, "EU-k": 0.97}


def frame(levels: dict[str, float], **columns) -> pd.DataFrame:
    """Two seeds that reach a level and 0.01 more; a reference's own prediction is another one."""
    rows = [
        {"method": method, "seed": seed, "tau": tau,
         "ratio_of_means": 1 + (level - 1) * tau / TAUS[-1] + 0.01 * seed,
         "null_low": 0.95, "null_high": 1.05,
         "predict_low": 0.1 if method == "Re-train" else 0.94,
         "predict_high": 9.0 if method == "Re-train" else 1.06, **columns}
        for method, level in {"Re-train": 1.0, **levels}.items() for seed in (0, 1) for tau in TAUS
    ]  # fmt: skip
    table = pd.DataFrame(rows).assign(null_difference_low=-0.05, null_difference_high=0.05)
    return table.assign(difference=table.ratio_of_means - 1)


def curve(axis, method: str) -> list[float]:
    """The line with markers in a method's colour."""
    (line,) = [
        li for li in axis.get_lines()
        if li.get_color() == style(method)["color"] and li.get_marker() not in ("None", "")
    ]  # fmt: skip
    return list(line.get_ydata())


def by_title(figure) -> dict:
    return {a.get_title(loc="left"): a for a in figure.axes if a.get_title(loc="left")}


def legend(figure) -> list[str]:
    return [t.get_text() for found in figure.legends for t in found.get_texts()]


def greys(axis) -> list[tuple[float, float]]:
    """(lowest, highest) of each band, the wide light one first."""
    heights = [c.get_paths()[0].vertices[:, 1] for c in axis.collections if c.get_zorder() < 0.5]
    return [(h.min(), h.max()) for h in heights]


def test_few_methods_share_one_picture():
    figure = residual_curves(frame(FEW), title="finding")
    (axis,) = figure.axes
    for method, level in FEW.items():
        assert curve(axis, method)[-1] == pytest.approx(level + 0.005)
    assert greys(axis) == [(0.94, 1.06), (0.95, 1.05)]
    assert legend(figure) == [*FEW, "range of the re-trained models (this forget set)",
                              "a further re-trained model, 95 % at each tau"]  # fmt: skip
    assert figure.get_suptitle() == "finding"


def test_the_band_is_a_models_and_not_a_held_out_references():
    """A reference's own row predicts from one fewer. Fails if the first row of all is taken."""
    null = bands(frame(FEW), "ratio_of_means")
    assert (null[["low", "high", "predict_low", "predict_high"]] == [0.95, 1.05, 0.94, 1.06]).all(
        axis=None
    )
    assert bands(frame(FEW), "difference").predict_low.isna().all()


def test_many_methods_have_a_panel_each():
    """Fails if a panel shows another method's line, a method has none, the axis is stretched for
    one outlier, or the outlier vanishes without a word."""
    many = residual_curves(frame(MANY), title="finding")
    shown = by_title(many)
    assert set(shown) == set(MANY)
    for method, level in MANY.items():
        assert curve(shown[method], method)[-1] == pytest.approx(level + 0.005)
        assert len(shown[method].get_lines()) == 2 + len(MANY)  # its own, the target, all others
        texts = [t.get_text() for t in shown[method].texts]
        assert texts in ([["↓ 0.20"], ["↓ 0.21"]] if method == "SSD" else [[]])
    assert legend(many)[-1] == "the other methods, means"
    low, high = many.axes[0].get_ylim()
    assert 0.4 < low < 0.9 < 1.1 < high < 1.5


@pytest.mark.parametrize("methods", [11, 12])
def test_no_panel_stands_alone_in_its_row(methods):
    figure = residual_curves(frame({f"m{k}": 1.0 for k in range(methods)}), title="finding")
    rows = pd.Series([a.get_subplotspec().rowspan.start for a in by_title(figure).values()])
    assert rows.value_counts().min() > 1


def test_curves_that_leave_one_picture_say_which_they_are():
    (axis,) = residual_curves(frame({"Original": 4.0, "RURK": 0.1}), title="t").axes
    assert [t.get_text() for t in axis.texts] in (["↓ RURK 0.10", "↑ Original 4.00"],
                                                  ["↓ RURK 0.11", "↑ Original 4.00"])  # fmt: skip


def test_one_seed_has_the_interval_of_its_ratio_and_a_band_its_gaps():
    """Fails if a band is drawn where nothing is known, or several seeds have one's bars."""
    rows = frame(FEW, ratio_low=0.9, ratio_high=1.2)
    rows.loc[rows.tau == 0.1, ["null_low", "null_high"]] = float("nan")
    (axis,) = residual_curves(rows[rows.seed == 0], title="t").axes
    bars = [c for c in axis.collections if hasattr(c, "get_segments")]
    assert len(bars) == len(FEW)
    assert bars[0].get_segments()[1][:, 1] == pytest.approx([0.9, 1.2])
    (axis,) = residual_curves(rows, title="t").axes
    assert not [c for c in axis.collections if hasattr(c, "get_segments")]
    assert [len(c.get_paths()) for c in axis.collections if c.get_zorder() < 0.5] == [1, 2]


def test_a_band_of_differences_without_width_hides_no_curve():
    """Fails if the axis is scaled by the band alone: a class forgotten whole has a band of 0."""
    rows = frame(MANY).assign(null_difference_low=0.0, null_difference_high=0.0)
    figure = residual_curves(rows, title="finding", quantity="difference")
    low, high = figure.axes[0].get_ylim()
    assert low < rows.difference.min() <= rows.difference.max() < high
    assert curve(by_title(figure)["Original"], "Original")[-1] == pytest.approx(0.105)
    assert "Pr[m" in figure.get_supylabel()
    flat = frame(FEW).assign(difference=0.0, null_difference_low=0.0, null_difference_high=0.0)
    low, high = residual_curves(flat, title="f", quantity="difference").axes[0].get_ylim()
    assert low < 0 < high


@pytest.mark.parametrize(("levels", "which"), [(FEW, list(MANY)), (MANY, ["RURK"])])
def test_ratios_that_are_not_defined_leave_a_gap_and_no_error(levels, which):
    """A net of one epoch may never say the class: no reference then gives a denominator. Fails if a
    picture can't be drawn, or if one method without numbers moves another's."""
    rows = frame(levels)
    numbers = ["ratio_of_means", "null_low", "null_high", "predict_low", "predict_high"]
    rows.loc[rows.method.isin(which), numbers if len(which) > 1 else numbers[:1]] = float("nan")
    figure = residual_curves(rows, title="finding")
    figure.draw_without_rendering()
    low, high = figure.axes[0].get_ylim()
    assert low < high
    if levels is MANY:
        shown = by_title(figure)
        assert curve(shown["GA"], "GA")[-1] == pytest.approx(0.905)
        assert not shown["RURK"].texts


def test_many_methods_look_like_their_verdicts_and_few_like_themselves():
    told = dict.fromkeys(MANY, "over-forgotten") | {"Original": "residual knowledge", "CR": "?"}
    rows = frame(MANY)
    figure = residual_curves(rows.assign(verdict=rows.method.map(told)), title="finding")
    for method, axis in by_title(figure).items():
        (own,) = [li for li in axis.get_lines() if li.get_marker() not in ("None", "")]
        look = found(told[method])
        assert (own.get_color(), own.get_marker()) == (look["color"], look["marker"])
    assert by_title(figure)["SSD"].texts[0].get_color() == found("over-forgotten")["color"]
    assert {"residual knowledge", "over-forgotten", "cannot be judged"} < set(legend(figure))
    (axis,) = residual_curves(frame(FEW).assign(verdict="over-forgotten"), title="t").axes
    assert curve(axis, "GD")[-1] == pytest.approx(1.085)


def test_no_ratio_is_below_zero_nor_is_its_band():
    """A t prediction from three references may be. Fails if an axis then counts below 0."""
    rows = frame(FEW).assign(predict_low=-0.8, predict_high=2.8)
    assert (bands(rows, "ratio_of_means").predict_low == 0).all()
    axis = residual_curves(rows, title="t").axes[0]
    assert [t for t in axis.get_yticks() if axis.get_ylim()[0] <= t < -1e-9] == []


@pytest.mark.parametrize("share", [True, False])
def test_each_panel_shows_its_own_rows(share):
    rows = pd.concat([frame({"Original": 1.2}, law="a"), frame({"Original": 1.4}, law="b")])
    units = "rate" if share else {"a": "sd", "b": "L-inf"}
    figure = residual_curves(rows, by="law", titles={"b": "second", "a": "first"}, title="t",
                             unit=units, about="these samples")  # fmt: skip
    shown = by_title(figure)
    assert list(shown) == ["second", "first"]
    for title, level in (("first", 1.2), ("second", 1.4)):
        assert curve(shown[title], "Original")[-1] == pytest.approx(level + 0.005)
    assert legend(figure)[1] == "range of the re-trained models (these samples)"
    assert len({a.get_ylim() for a in shown.values()}) == 1  # they stand in a row
    assert [a.get_xlabel() for a in shown.values()] == (
        ["tau (rate)", ""] if share else ["tau (L-inf)", "tau (sd)"]
    )


def audited(ratio: float, **columns) -> pd.DataFrame:
    values = {
        "tau": TAUS, "ratio_of_means": ratio, "ratio_low": ratio - 0.02, "ratio_high": ratio + 0.03,
        "predict_low": 0.9, "predict_high": 1.05, "difference": -0.1, "null_difference_low": -0.2,
        "null_difference_high": 0.2, "margin_difference": 2 * ratio, "margin_predict_low": -0.7,
        "margin_predict_high": 0.8, **columns,
    }  # fmt: skip
    return pd.DataFrame(values)


def test_each_set_of_an_audit_has_its_row_and_band():
    """Fails if a control is drawn over the forget set's band, or ratio and margin are swapped."""
    others = [audited(1.01, control="held", predict_high=1.2), audited(0.99, control="retained")]
    figure = against_references(audited(1.3), pd.concat(others), title="finding")
    axes = np.array(figure.axes).reshape(3, 2)
    for row, ratio in zip(axes, (1.3, 1.01, 0.99), strict=True):
        assert curve(row[0], "model") == pytest.approx([ratio] * 3)
        assert curve(row[1], "model") == pytest.approx([2 * ratio] * 3)
        assert greys(row[1]) == [pytest.approx((-0.7, 0.8))]
    assert greys(axes[0, 0]) == [pytest.approx((0.9, 1.05))]
    assert greys(axes[1, 0]) == [pytest.approx((0.9, 1.2))]
    assert [a.get_title("left") for a in axes[:, 0]] == ["forget set", "held", "retained"]
    assert len({a.get_ylim() for a in axes[:, 0]}) == 1
    (bars,) = [c for c in axes[0, 0].collections if hasattr(c, "get_segments")]
    assert bars.get_segments()[0][:, 1] == pytest.approx([1.28, 1.33])


def test_without_ratios_an_audit_shows_the_difference():
    figure = against_references(audited(np.nan, margin_difference=1.0), title="finding")
    left, right = figure.axes
    assert curve(left, "model") == pytest.approx([-0.1] * 3)
    assert greys(left) == [pytest.approx((-0.2, 0.2))]
    assert "Pr[m" in left.get_ylabel()
    assert curve(right, "model") == [1.0] * 3


def test_a_cell_says_what_is_left_at_its_largest_tau():
    """Fails if another tau's or another model's number is told."""
    rows = frame({"Original": 1.1, "RURK": 1.02})[lambda f: f.seed == 0]
    rows = rows.assign(test_accuracy=rows.method.map({"Original": 99.0, "RURK": 98.04}))
    figure, data, alt = cell_curve(rows, "RURK", law="gaussian", quantity="ratio_of_means")
    title = figure.get_suptitle()
    assert title.startswith(
        "At the largest tau Original has 1.100, RURK 1.020;\ntest accuracy 99.0"
    )
    assert title.endswith("and 98.0 %")
    assert alt.endswith("At the largest tau 1.100 and 1.020.")
    assert data is rows
    _, _, alt = cell_curve(rows, "RURK", law="gaussian", quantity="difference")
    assert alt.endswith("At the largest tau 0.100 and 0.020.")
