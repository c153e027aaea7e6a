"""Requests side by side: a mark for each number, a band for each request."""

from __future__ import annotations

import pandas as pd
import pytest

from rurklib.study.figures.requests import request_dots


def test_marks_and_bands_are_the_frames():
    rows = [
        {"study": study, "request": r, "method": m, "ratio_of_means": 1 + k / 10 + r / 100 + s,
         "null_low": 0.9 - r / 100, "null_high": 1.1}
        for s, study in enumerate(("two", "four")) for r in (3, 1)
        for k, m in enumerate(("Original", "RURK"))
    ]  # fmt: skip
    frame = pd.DataFrame(rows)
    figure = request_dots(frame, title="t", unit="tau 0.05")
    for s, axis in enumerate(figure.axes):
        assert axis.get_title(loc="left") == ("two", "four")[s]
        marks = {line.get_label(): line for line in axis.lines}
        # rows from the top: request 1, then 3
        assert marks["Original"].get_xdata() == pytest.approx([1.01 + s, 1.03 + s])
        assert marks["RURK"].get_xdata() == pytest.approx([1.11 + s, 1.13 + s])
        assert list(marks["RURK"].get_ydata()) == [0, 1]
        boxes = [c.get_paths()[0].get_extents() for c in axis.collections]
        assert [round(b.x0, 6) for b in boxes] == [0.89, 0.87]
        assert [round((b.y0 + b.y1) / 2, 6) for b in boxes] == [0, 1]
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["1", "3"]


def test_a_prediction_is_drawn_behind_the_range_and_stretches_no_axis():
    """Fails if a wide prediction squeezes the marks together, or hides the range."""
    rows = [
        {"study": "two", "request": r, "method": m, "ratio_of_means": 1 + k / 10,
         "null_low": 0.95, "null_high": 1.02, "predict_low": 0.2 + r / 10, "predict_high": 1.05}
        for r in (0, 1) for k, m in enumerate(("Original", "RURK"))
    ]  # fmt: skip
    figure = request_dots(pd.DataFrame(rows), title="t", unit="tau 0.05")
    (axis,) = figure.axes
    boxes = [c.get_paths()[0].get_extents() for c in axis.collections]
    assert [round(b.x0, 6) for b in boxes] == [0.2, 0.95, 0.3, 0.95]
    assert [round(b.x1, 6) for b in boxes] == [1.05, 1.02, 1.05, 1.02]
    low, high = axis.get_xlim()
    assert 0.9 < low < 0.95 < 1.1 < high < 1.15
    (legend,) = figure.legends
    assert [t.get_text() for t in legend.get_texts()][-1] == "a further one, 95 %"
