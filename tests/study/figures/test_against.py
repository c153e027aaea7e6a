"""One model against re-trained ones: what is drawn is what the frames hold."""

import numpy as np
import pandas as pd
import pytest

from rurklib.study.figures.against import against_references

TAUS = [0.0, 0.1, 0.2]


def frame(ratio: float, **columns) -> pd.DataFrame:
    values = {
        "tau": TAUS, "ratio_of_means": ratio, "ratio_low": ratio - 0.02, "ratio_high": ratio + 0.03,
        "predict_low": 0.9, "predict_high": 1.05, "difference": -0.1, "null_difference_low": -0.2,
        "null_difference_high": 0.2, "margin_difference": 2 * ratio, "margin_predict_low": -0.7,
        "margin_predict_high": 0.8, **columns,
    }  # fmt: skip
    return pd.DataFrame(values)


def controls(**ratios: float) -> pd.DataFrame:
    return pd.concat([frame(r).assign(control=name) for name, r in ratios.items()])


def band(axis) -> tuple[float, float]:
    heights = np.concatenate([c.get_paths()[0].vertices[:, 1] for c in axis.collections[:1]])
    return heights.min(), heights.max()


def curve(axis) -> list[float]:
    """The curve with markers."""
    (line,) = [c for c in axis.get_lines() if c.get_marker() in "os^D"]
    return list(line.get_ydata())


def test_each_set_has_its_row_and_band():
    """Fails if a control is drawn over the forget set's band, or ratio and margin are swapped."""
    others = controls(held=1.01, retained=0.99)
    others.loc[others.control == "held", "predict_high"] = 1.2
    figure = against_references(frame(1.3), others, title="finding")
    assert figure.get_suptitle() == "finding"
    axes = np.array(figure.axes).reshape(3, 2)
    for row, ratio in zip(axes, (1.3, 1.01, 0.99), strict=True):
        assert curve(row[0]) == pytest.approx([ratio] * 3)
        assert curve(row[1]) == pytest.approx([2 * ratio] * 3)
        assert band(row[1]) == pytest.approx((-0.7, 0.8))
    assert band(axes[0, 0]) == pytest.approx((0.9, 1.05))
    assert band(axes[1, 0]) == pytest.approx((0.9, 1.2))
    assert [a.get_title("left") for a in axes[:, 0]] == ["forget set", "held", "retained"]
    assert len({a.get_ylim() for a in axes[:, 0]}) == 1
    bars = axes[0, 0].collections[1].get_segments()
    assert bars[0][:, 1] == pytest.approx([1.28, 1.33])


def test_without_ratios_the_difference_is_drawn():
    figure = against_references(frame(np.nan, margin_difference=1.0), title="finding")
    left, right = figure.axes
    assert curve(left) == pytest.approx([-0.1] * 3)
    assert band(left) == pytest.approx((-0.2, 0.2))
    assert "Pr[m" in left.get_ylabel()
    assert curve(right) == [1.0] * 3
