"""Rows of dots: a mark for each number, greys where re-trained models are."""

import numpy as np
import pandas as pd
import pytest

from rurklib.study.figures.dots import dots
from rurklib.study.figures.style import found, style


def marks(axis, method) -> dict[int, list[float]]:
    """x of a method's marks by their row."""
    found: dict[int, list[float]] = {}
    for line in axis.get_lines():
        if line.get_marker() == style(method)["marker"]:
            for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True):
                found.setdefault(round(y), []).append(x)
    return found


def boxes(axis) -> list:
    return [c.get_paths()[0].get_extents() for c in axis.collections if c.get_zorder() < 0.5]


def test_a_mark_is_the_mean_beside_each_seed_and_their_range():
    frame = pd.DataFrame(
        {"method": ["Original"] * 2 + ["Re-train"] * 3, "a": [1.0, 3, 5, 6, 10], "b": 0.0}
    )
    first, second = dots(frame, {"a": "A", "b": "B"}, bars="range", title="t").axes
    assert (first.get_title("left"), second.get_title("left")) == ("A", "B")
    assert marks(first, "Original") == {0: [2.0]}
    assert marks(first, "Re-train") == {1: [7.0]}
    assert [t.get_text() for t in first.get_yticklabels()] == ["Original", "Re-train"]
    (bar,) = next(c for c in first.collections if hasattr(c, "get_segments")).get_segments()
    assert bar[:, 0].tolist() == [1, 3]
    assert [p.get_x() for p in first.patches] == [5]  # the re-trained models' range
    assert [p.get_width() for p in first.patches] == [5]


def requests(**columns) -> pd.DataFrame:
    return pd.DataFrame(
        {"study": study, "request": r, "method": m, "ratio": 1 + k / 10 + r / 100 + s,
         "null_low": 0.9 - r / 100, "null_high": 1.1, **columns}
        for s, study in enumerate(("two", "four")) for r in (3, 1)
        for k, m in enumerate(("Original", "RURK"))
    )  # fmt: skip


def test_requests_have_their_marks_and_bands():
    figure = dots(requests(), "ratio", by="study", rows="request", title="t", centre=1.0)
    for s, axis in enumerate(figure.axes):
        assert axis.get_title(loc="left") == ("two", "four")[s]
        for k, method in enumerate(("Original", "RURK")):  # from the top: request 1, then 3
            rows = {0: [1.01 + k / 10 + s], 1: [1.03 + k / 10 + s]}
            assert marks(axis, method) == {i: pytest.approx(v) for i, v in rows.items()}
        assert [round(b.x0, 6) for b in boxes(axis)] == [0.89, 0.87]
        assert [round((b.y0 + b.y1) / 2, 6) for b in boxes(axis)] == [0, 1]
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["1", "3"]
    words = [t.get_text() for legend in figure.legends for t in legend.get_texts()]
    assert words == ["Original", "RURK", "range of the re-trained models"]


def test_a_prediction_is_drawn_behind_the_range_and_stretches_no_axis():
    """Fails if a wide prediction squeezes the marks together, or hides the range."""
    frame = requests(predict_low=0.2, predict_high=1.05)
    frame = frame[frame.study == "two"].assign(null_low=0.95, null_high=1.02)
    figure = dots(frame, "ratio", rows="request", title="t")
    (axis,) = figure.axes
    assert [round(b.x0, 6) for b in boxes(axis)] == [0.2, 0.2, 0.95, 0.95]
    assert [round(b.x1, 6) for b in boxes(axis)] == [1.05, 1.05, 1.02, 1.02]
    low, high = axis.get_xlim()
    assert 0.9 < low < 0.95 < 1.13 < high < 1.17
    assert figure.legends[-1].get_texts()[-1].get_text() == "a further re-trained model, 95 %"


def test_each_seed_has_its_interval():
    one = {"reference": 0.5, "predict_low": 0.3, "predict_high": 0.7, "low": 0.6, "high": 1.0}
    rows = [
        {"method": m, "seed": s, "attack": a, "value": 0.9 - 0.1 * s, **one}
        for m in ("Original", "RURK") for s in (0, 1) for a in ("noise", "distance")
    ]  # fmt: skip
    axes = dots(pd.DataFrame(rows), "value", by="attack", bars=("low", "high"),
                centre="reference", title="t").axes  # fmt: skip
    assert [a.get_title(loc="left") for a in axes] == ["noise", "distance"]
    assert marks(axes[0], "Original") == {0: pytest.approx([0.9, 0.8])}
    (bars, *_) = [c for c in axes[0].collections if hasattr(c, "get_segments")]
    assert [s[:, 0].tolist() for s in bars.get_segments()] == [[0.6, 1.0]] * 2
    assert len({s[0, 1] for s in bars.get_segments()}) == 2  # seeds stand apart
    assert [(b.x0, b.x1) for b in boxes(axes[0])] == [(0.3, 0.7)] * 2
    assert 0.5 in [line.get_xdata()[0] for line in axes[0].get_lines()]


@pytest.mark.parametrize("bars", ["range", ("low", "high")])
def test_marks_look_like_what_was_found(bars):
    """Fails if a seed has another one's side, or the re-trained models have a verdict."""
    rows = {"method": ["GD", "GD", "Re-train"], "v": [3.0, 1.0, 0.9], "low": 0.5, "high": 3.5}
    told = {"verdict": ["above", "inside" if bars != "range" else "above", "above"]}
    (axis,) = dots(pd.DataFrame(rows | told), "v", bars=bars, title="t").axes
    seen = {li.get_xdata()[0]: li for li in axis.get_lines() if li.get_marker() != "None"}
    looks = {3.0: found("above"), 1.0: found("inside"), 0.9: style("Re-train")}
    looks = looks if bars != "range" else {2.0: found("above"), 0.9: style("Re-train")}
    for x, look in looks.items():
        assert (seen[x].get_color(), seen[x].get_marker()) == (look["color"], look["marker"])
    words = {t.get_text() for legend in axis.figure.legends for t in legend.get_texts()}
    assert words - {"range of the re-trained models"} == {
        look["label"] for look in looks.values() if "label" in look
    }


@pytest.mark.parametrize("shared", [False, True, "row"])
def test_every_scale_of_its_own_has_its_numbers(shared):
    """Fails if rows of panels with different scales show the last one's alone."""
    frame = pd.DataFrame({"method": "RURK", "part": list("abcd"), "v": [0.0, 1.0, 5.0, 9.0]})
    figure = dots(frame, "v", by="part", columns=2, sharex=shared, xlabel="x", title="t")
    figure.draw_without_rendering()
    numbers = [a.xaxis.get_tick_params()["labelbottom"] for a in figure.axes]
    assert numbers == [shared is not True] * 2 + [True] * 2
    assert [a.get_xlabel() for a in figure.axes] == ["", "", "x", ""]  # once, below all


def test_quartiles_and_range():
    frame = pd.DataFrame({"method": ["Original"] * 5 + ["Re-train"] * 5,
                          "distance": [0.0, 1, 2, 3, 9, *range(10, 15)]})  # fmt: skip
    (axis,) = dots(frame, "distance", bars="quartiles", title="t").axes
    assert marks(axis, "Original") == {0: [2.0]}
    bars = [c.get_segments()[0] for c in axis.collections if hasattr(c, "get_segments")]
    assert np.array(bars)[:2, :, 0].tolist() == [[0, 9], [1, 3]]
    (grey,) = axis.patches
    assert (grey.get_x(), grey.get_width()) == (11, 2)
