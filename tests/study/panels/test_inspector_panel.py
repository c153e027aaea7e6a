"""The inspector's panel without a browser: set a value, read the state, look at what is shown."""

import io
import time

import ipywidgets
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from rurklib.study.inspector.running_ratio import running
from rurklib.study.inspector.view import perturbation_named
from rurklib.study.panels.inspector import InspectorPanel
from rurklib.study.panels.panel import png


@pytest.fixture(scope="module")
def opened(inspector) -> tuple[InspectorPanel, dict]:
    panel = InspectorPanel(inspector)
    assert panel.widget.children
    return panel, dict(panel.state)


@pytest.fixture
def panel(opened) -> InspectorPanel:
    """One panel for all tests, each time as it opens."""
    panel, state = opened
    for job in panel.jobs.values():
        job.forget()
    panel.set(**state)
    return panel


def looks_as_set(panel) -> None:
    """The view is what the package computes for the panel's state."""
    s = panel.state
    name = perturbation_named(s["kind"], s["norm"], s["aim"])
    options = (s[field] for field in ("tau", "draw", "found_on", "steps"))
    own = panel.inspector.view(s["sample"], name, *options)
    np.testing.assert_array_equal(panel.view.copy, own.copy)
    np.testing.assert_array_equal(panel.view.probabilities, own.probabilities)
    for field in ("sample", "perturbation", "tau", "draw"):
        assert getattr(panel.view, field) == getattr(own, field)


def test_it_opens_on_the_sample_with_the_largest_ratio_at_the_largest_tau(panel):
    assert panel.state["sample"] == panel.inspector.order[0]
    assert panel.state["tau"] == 0.2
    assert panel.controls["sample"].index == 0
    assert {n for n, s in panel.shown.items() if s.layout.display != "none"} == set(panel.pictures)
    looks_as_set(panel)


MOVES = {"sample": 17, "aim": "away from y", "tau": 0.96, "draw": 5, "found_on": "GD", "steps": 3}
MOVES["model"] = "RURK"


@pytest.mark.parametrize("name", MOVES)
def test_each_control_changes_exactly_what_it_says(panel, name):
    """Moved as a browser moves it: the control's value, not ``set``."""
    panel.set(kind="PGD", norm="L2", tau=0.8)
    before, seen = dict(panel.state), panel.view
    panel.controls[name].value = MOVES[name]
    assert panel.state == before | {name: MOVES[name]}
    assert {field: c.value for field, c in panel.controls.items()} == panel.state
    looks_as_set(panel)
    assert (panel.view is seen) == (name == "model")


def test_another_perturbation_keeps_the_size_of_tau_and_the_rest(panel):
    before = dict(panel.state)
    panel.controls["kind"].value = "PGD"
    assert panel.state == before | {"kind": "PGD"}
    panel.controls["norm"].value = "L2"
    assert panel.state == before | {"kind": "PGD", "norm": "L2", "tau": pytest.approx(1.6)}
    assert panel.reach() == pytest.approx(3.2)
    assert panel.controls["tau"].options[-1][1] == pytest.approx(3.2)
    panel.controls["norm"].value = "L1"
    assert panel.state["tau"] == pytest.approx(12.8)
    panel.controls["kind"].value = "FGSM"  # which has L-inf alone
    assert panel.state == before | {"kind": "FGSM", "tau": pytest.approx(0.2)}
    assert panel.controls["norm"].options == (("L-inf", "L-inf"),)
    looks_as_set(panel)


USED = {
    "Gaussian": {"draw"},
    "uniform": {"draw", "norm"},
    "FGSM": {"aim", "found_on"},
    "PGD": {"draw", "norm", "aim", "found_on", "steps"},
}


@pytest.mark.parametrize("kind", USED)
def test_each_perturbation_at_all_ends_of_tau(panel, kind):
    """And what means nothing for it is out of use."""
    panel.set(kind=kind)
    optional = ("norm", "aim", "draw", "found_on", "steps")
    assert {n for n in optional if not panel.controls[n].disabled} == USED[kind]
    for norm, _ in panel.controls["norm"].options:
        panel.set(norm=norm)
        for _, value in panel.controls["tau"].options[::40]:
            panel.controls["tau"].value = value
            assert panel.state["tau"] == value
            looks_as_set(panel)


def test_pictures_follow(panel):
    first = png(panel.pictures["copy"].figure)
    panel.set(draw=3)
    assert png(panel.pictures["copy"].figure) != first
    for name in ("copy", "probabilities"):
        assert Image.open(io.BytesIO(png(panel.pictures[name].figure))).width == 360


def test_buttons_show_what_the_package_computes(panel):
    panel.set(kind="PGD", norm="L2", tau=0.8, model="GD", draw=2, steps=2)
    for name, job in panel.jobs.items():
        job.button.click()
        assert job.said == "done"
        assert panel.shown[name].layout.display != "none"
        assert job.bar.value == job.bar.max
        assert job.cancel.disabled
        assert not job.button.disabled
    s, inspector = panel.state["sample"], panel.inspector
    *_, r = running(inspector, s, "pgd-l2", 0.8, model="GD", steps=2)
    np.testing.assert_array_equal(panel.jobs["ratio"].report.ratio, r.ratio)


def test_without_a_browser_there_is_no_widget(inspector, monkeypatch):
    """Widgets that nobody displays are stored in a notebook that papermill runs. Fails if setting a
    value or reading a figure makes one."""
    monkeypatch.setattr(ipywidgets.Widget, "__init__", None)
    panel = InspectorPanel(inspector)
    panel.set(tau=0.1)
    assert panel.pictures["copy"].figure.axes


def test_a_slider_is_answered_in_a_tenth_of_a_second(panel):
    """Of one core, and told by the quickest quarter: others may be busy beside it."""
    took = []
    for k in range(1, 21):
        began = time.process_time()
        panel.controls["tau"].value = round(0.01 * k, 6)
        took.append(time.process_time() - began)
    print(f"a slider's answer: median {1000 * np.median(took):.0f} ms of one core")
    assert np.quantile(took, 0.25) < 0.1


def test_export_writes_the_picture_and_one_row_for_each_view(panel, small_run):
    panel.set(kind="PGD", norm="L1", found_on="GD", steps=3, tau=2.0, draw=1)
    panel.part("export")[0].click()
    picture, table = panel.export()
    assert picture.parent == table.parent == small_run / "inspect"
    first = Image.open(picture)
    panel.jobs["ratio"].start()
    panel.export()
    assert Image.open(picture).size != first.size  # what is seen now is more
    panel.set(draw=2)
    picture, _ = panel.export()
    rows = pd.read_csv(table)
    assert len(rows) == 2
    assert list(rows.draw) == [1, 2]
    row, v = rows.iloc[1], panel.view
    assert row.file == picture.name
    facts = {"class": 9, "law": "pgd-l1", "tau": 2.0, "found_on": "GD", "steps": 3}
    assert row[list(facts)].to_dict() == facts
    assert row.GD_probability == pytest.approx(v.row("GD")[0, 9], rel=1e-6)
    assert row.Original_says == v.answers[0]
    assert row.retrain_mean == pytest.approx(v.row("Re-train")[:, 9].mean(), rel=1e-6)
    assert row.l1 == pytest.approx(v.distances["L1"], rel=1e-6)
