"""The panel of the sphere: one radius of a frame at a time."""

from __future__ import annotations

import ipywidgets
import numpy as np
import pytest

from rurklib.checks import InputError
from rurklib.study.inspector import sphere
from rurklib.study.panels.dimension import DimensionPanel


@pytest.fixture(scope="module")
def frame():
    return sphere.dimensions([0.05, 0.2], [2, 10, 100], points=200)


def lines(panel) -> dict[str, list]:
    return {name: line.get_ydata().tolist() for name, line in panel._drawing.lines.items()}


def test_the_slider_shows_the_rows_of_its_radius(frame):
    panel = DimensionPanel(frame, tau=0.05)
    first = panel.picture.png
    panel.control.value = 0.2
    assert panel.tau == 0.2
    rows = frame[frame.tau == 0.2]
    assert lines(panel) == {c: rows[c].tolist() for c in lines(panel)}
    assert panel.rows.equals(rows)
    share = 100 * sphere.near_hemisphere(0.2, 100)
    assert f"{share:.1f} % in 100" in panel.said
    panel.set(0.05)
    assert panel.control.value == 0.05
    assert panel.picture.png == first


def test_without_a_browser_there_is_no_widget(frame, monkeypatch):
    monkeypatch.setattr(ipywidgets.Widget, "__init__", None)
    panel = DimensionPanel(frame, tau=0.05)
    panel.set(0.2)
    assert "tau 0.2" in panel.said
    monkeypatch.undo()
    assert panel.control.value == 0.2
    assert panel.picture.said == panel.said
    panel.set(0.05)
    assert panel.picture.said == panel.said


def test_the_picture_has_all_dimensions(frame):
    axis = DimensionPanel(frame, tau=0.05)._drawing.axis
    assert np.array_equal(axis.get_xticks(), [2, 10, 100])
    low, high = axis.get_xlim()
    assert low < 2
    assert high > 100


@pytest.mark.parametrize("tau", [0.1, None])
def test_another_radius_is_refused(frame, tau):
    with pytest.raises(InputError, match=r"expected one of 0.05, 0.2"):
        DimensionPanel(frame, tau=tau)
    panel = DimensionPanel(frame, tau=0.2)
    with pytest.raises(InputError, match="tau"):
        panel.set(tau)
    assert panel.tau == 0.2
