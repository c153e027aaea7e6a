"""The panel of the plane without a browser: set a value, read the state and the picture."""

from __future__ import annotations

import time
from dataclasses import asdict

import ipywidgets
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from rurklib.checks import InputError
from rurklib.study.inspector.flat_view import State, view
from rurklib.study.panels.flat import FlatPanel, regions_figure

START = State(sample=4, tau=0.05, norm="l2", lam=0.3, steps=3, reference=0)
OTHER = {"sample": 5, "tau": 0.2, "norm": "linf", "lam": 0.0, "steps": 8, "reference": 2}
# What of the picture each control may change.
CHANGES = {
    "sample": {"ball", "rim", "rings", "path", "title"},
    "tau": {"ball", "rim", "rings", "path", "title"},
    "norm": {"ball", "rim", "rings", "path", "title"},
    "lam": {"rurk", "marks", "ball", "path", "title"},
    "steps": {"rurk", "marks", "ball", "path", "title"},
    "reference": {"reference", "marks", "ball"},
}


@pytest.fixture(scope="module")
def displayed(flat):
    panel = FlatPanel(flat, START)
    assert panel.widget.children
    return panel


@pytest.fixture
def panel(displayed):
    """One panel for all tests, for drawing takes time; each begins at START."""
    displayed.set(**asdict(START))
    return displayed


def drawn(panel) -> dict[str, list]:
    """What the picture's artists hold now, by part."""
    d = panel._drawing
    image = [i.get_array().tolist() for i in d._images]
    return {
        "original": image[0],
        "reference": image[1],
        "gd": image[2],
        "rurk": image[3],
        "marks": [[m.get_offsets().tolist() for m in pair] for pair in d._marks],
        "rings": [[line.get_xydata().tolist() for line in d._outlines],
                  [r.get_offsets().tolist() for r in d._rings]],
        "ball": {name: s.get_offsets().tolist() for name, s in d._who.items()},
        "rim": [d._outline.get_xydata().tolist(), d.ball.get_xlim(),
                d._centre.get_offsets().tolist()],
        "path": [d._line.get_ydata().tolist(), d._now.get_xydata().tolist(), d._band.get_y(),
                 [v.get_ydata() for v in d._levels.values()]],
        "title": d.title.get_text(),
    }  # fmt: skip


@pytest.mark.parametrize("name", OTHER)
def test_a_slider_changes_what_it_says_and_nothing_else(panel, name):
    """Moved as a reader does, by the widget. Fails if a control isn't wired, is wired to another
    field, or moves a part of the picture that isn't its."""
    before = drawn(panel)
    panel.controls[name].value = OTHER[name]
    assert asdict(panel.state) == {**asdict(START), name: OTHER[name]}
    after = drawn(panel)
    moved = {part for part in before if before[part] != after[part]}
    assert moved <= CHANGES[name]
    assert moved & {"ball", "rurk", "reference"}


def test_sliders_begin_at_the_state(panel):
    assert {name: c.value for name, c in panel.controls.items()} == asdict(panel.state)


@pytest.mark.parametrize("name", OTHER)
def test_setting_a_value_moves_the_slider_and_draws_once(panel, name, monkeypatch):
    shown = []
    monkeypatch.setattr(panel.picture, "show", shown.append)
    panel.set(**{name: OTHER[name]})
    assert panel.controls[name].value == OTHER[name]
    assert len(shown) == 1
    panel.set(**{name: OTHER[name]})  # nothing to do
    assert len(shown) == 1


def test_without_a_browser_there_is_no_widget(flat, monkeypatch):
    """Widgets that nobody displays are stored in a notebook that papermill runs. Fails if setting a
    value or reading the figure makes one."""
    monkeypatch.setattr(ipywidgets.Widget, "__init__", None)
    panel = FlatPanel(flat, START)
    panel.set(**OTHER)
    assert panel.said == view(flat, State(**OTHER)).said
    assert drawn(panel)["rurk"] == flat.rurk[0, 2].tolist()
    monkeypatch.undo()
    assert panel.controls["tau"].value == OTHER["tau"]  # made late, they begin where it is
    assert panel.picture.said == panel.said
    assert panel.picture.png


def test_several_values_at_once(panel, flat):
    panel.set(**OTHER)
    assert panel.state == State(**OTHER)
    assert panel.said == panel.picture.said == view(flat, State(**OTHER)).said


def test_the_picture_shows_the_packages_numbers(panel, flat):
    panel.set(**OTHER)
    shown, parts = view(flat, panel.state), drawn(panel)
    both = shown.ball.by_model & shown.ball.by_reference
    only = shown.ball.by_model & ~shown.ball.by_reference
    their = ~shown.ball.by_model & shown.ball.by_reference
    for name, members in {"both": both, "model": only, "re-trained": their}.items():
        assert np.allclose(np.reshape(parts["ball"][name], (-1, 2)), shown.ball.points[members])
    assert np.allclose(parts["rim"][0], shown.ball.outline)
    assert np.allclose(parts["rim"][2], [flat.case.forget[0][5].tolist()])
    assert sum(map(len, parts["ball"].values())) == len(shown.ball.points)
    assert parts["rurk"] == flat.rurk[0, 2].tolist()
    assert parts["path"][0] == shown.ball.path.tolist()
    assert parts["path"][1] == [[8, shown.ball.path[2]]]
    apart = panel._drawing._apart_image.get_array()
    assert np.array_equal(apart, flat.rurk[0, 2] != flat.references[2])


def test_forget_samples_are_marked_by_agreement(panel):
    answers = view(panel.flat, panel.state).drawn["answers"]
    x = panel._drawing.x
    for k, other in enumerate((0, 3, 2, 3, 3)):  # re-trained, last and disagreement: these two
        same, apart = (m.get_offsets() for m in panel._drawing._marks[k])
        agree = answers[other] == answers[1]
        assert np.allclose(np.reshape(same, (-1, 2)), x[agree])
        assert np.allclose(np.reshape(apart, (-1, 2)), x[~agree])


def test_a_way_there_and_back_gives_the_same_picture(panel, flat):
    """Fails if an artist keeps something of an earlier state."""
    first = panel.picture.png
    panel.set(**OTHER)
    assert panel.picture.png != first
    panel.set(**asdict(START))
    assert panel.picture.png == first


def test_the_static_twin_is_the_same_picture(panel, flat):
    """A figure that is drawn for one state alone, pixel by pixel the panel's."""
    panel.set(**OTHER)
    twin = regions_figure(flat)
    twin.update(**view(flat, State(**OTHER)).drawn)
    pixels = []
    for figure in (twin.figure, panel.figure):
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        pixels.append(np.asarray(canvas.buffer_rgba()).copy())
    assert np.array_equal(*pixels)


@pytest.mark.parametrize(
    ("values", "told"),
    [({"tau": 0.06}, "tau = 0.06: expected one of 0.01"), ({"steps": 4}, "steps"),
     ({"tua": 0.1}, "did you mean 'tau'"), ({"norm": "l3"}, "linf, l2, l1")],
)  # fmt: skip
def test_what_there_is_no_answer_for_is_refused_and_nothing_moves(panel, values, told):
    before = panel.picture.png
    with pytest.raises(InputError, match=told):
        panel.set(lam=0.0, **values)
    assert panel.state == START
    assert panel.controls["lam"].value == START.lam
    assert panel.picture.png == before


def test_it_answers_at_once(panel):
    """A tenth of a second on an idle core; the limit is for a busy machine."""
    taken = []
    for tau in (0.01, 0.1, 0.2, 0.05, 0.07):
        began = time.perf_counter()
        panel.set(tau=tau)
        taken.append(time.perf_counter() - began)
    assert np.median(taken) < 1


def test_nothing_is_written_outside_the_picture(panel):
    """Text and marks stay inside the figure, at the widest numbers too."""
    panel.set(sample=6, norm="linf", tau=0.2)
    renderer = FigureCanvasAgg(panel.figure).get_renderer()
    box = panel.figure.bbox
    for text in [panel._drawing.title, *[a.title for a in panel.figure.axes]]:
        extent = text.get_window_extent(renderer)
        assert box.x0 <= extent.x0
        assert extent.x1 <= box.x1
        assert extent.y1 <= box.y1
