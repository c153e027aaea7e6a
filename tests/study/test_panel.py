"""The inspector's panel without a browser: set a control, look at what is shown."""

import time
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pandas as pd
import pytest
from tornado.web import HTTPError

from rurklib import study
from rurklib.study import serve
from rurklib.study.inspector import perturbation_named, radius
from rurklib.study.panel import Panel, inspector_page, magnification
from rurklib.study.run import open_existing


@pytest.fixture(scope="module")
def panel(inspector) -> Panel:
    return Panel(inspector)


MOVES = {"sample": 17, "kind": "PGD", "norm": "L2", "aim": "away from y", "tau": 0.15, "draw": 5}
MOVES |= {"found_on": "GD", "steps": 3}


def test_each_control_changes_what_is_seen(panel):
    """The view is what the package computes for the controls; both pictures follow."""
    assert panel.view.sample == panel.inspector.order[0]
    assert panel.view.tau == 0.2
    for name, value in MOVES.items():
        before = {k: html.value for k, html in panel.shown.items()}
        panel.controls[name].value = value
        c = {k: control.value for k, control in panel.controls.items()}
        law = perturbation_named(c["kind"], c["norm"], c["aim"])
        tau = round(radius(law, c["tau"], 64), 6)
        view = panel.inspector.view(c["sample"], law, tau, c["draw"], c["found_on"], c["steps"])
        np.testing.assert_array_equal(panel.view.copy, view.copy)
        np.testing.assert_array_equal(panel.view.probabilities, view.probabilities)
        assert all(panel.shown[k].value != before[k] for k in ("copy", "answers"))
    assert panel.view.perturbation == "pgd-l2-untargeted"


def test_bars_and_images_are_the_views(panel):
    panel.controls["rows"].value = ("Original", "Re-train", "RURK")
    v, bars = panel.view, [bar.get_width() for bar in panel.answers.bars]
    assert bars == pytest.approx([v.row(n)[0, 9] if n != "Re-train" else v.row(n)[:, 9].mean()
                                  for n in ("Original", "Re-train", "RURK")])  # fmt: skip
    texts = [text.get_text() for text in panel.answers.texts]
    assert texts[1].endswith(f"{sum(v.recognised[1:4])} of 3")
    assert texts[2].endswith(f"says {v.answers[v.models.index('RURK')]}")
    image, copy, difference = (axis.images[0].get_array() for axis in panel.copy.axes)
    np.testing.assert_array_equal(image, v.image[0])
    np.testing.assert_array_equal(copy, v.copy[0])
    times = magnification(float(np.abs(v.difference).max()))
    np.testing.assert_allclose(difference, v.difference[0] * times, rtol=1e-5)
    assert [magnification(d) for d in (0.0, 1.0, 0.3, 0.03, 0.0021)] == [1, 1, 2, 20, 200]


def test_the_ratio_is_of_what_is_seen(panel):
    panel.show_ratio()
    assert "Recognised copies: Original / re-trained" in panel.shown["ratio"].value
    panel.controls["draw"].value = 1
    assert not panel.shown["ratio"].value


def test_a_slider_is_answered_in_a_tenth_of_a_second(panel):
    """From a slider to another picture, twenty times; by the quickest quarter, as others may be
    busy beside it."""
    took, seen = [], set()
    for k in range(20):
        began = time.perf_counter()
        panel.controls["tau"].value = 0.01 * k
        took.append(time.perf_counter() - began)
        seen.add(panel.shown["copy"].value)
    print(f"from a slider to its picture: median {1000 * np.median(took):.0f} ms, "
          f"slowest {1000 * max(took):.0f} ms")  # fmt: skip
    assert len(seen) == 20
    assert np.quantile(took, 0.25) < 0.1


def test_a_saved_view_is_a_row(panel):
    panel.controls["draw"].value = 2
    assert panel.save() == panel.save()
    row, v = pd.read_csv(panel.save()).iloc[-1], panel.view
    assert (row["sample"], row.law, row.draw) == (v.sample, v.perturbation, 2)
    assert row.GD_probability == pytest.approx(v.row("GD")[0, 9], rel=1e-6)
    assert row.l1 == pytest.approx(v.distances["L1"], rel=1e-6)


# --- served -------------------------------------------------------------------------------------


def test_a_page_shows_the_run_and_one_of_no_run_is_a_message(tmp_path, small_run, capsys):
    shown = inspector_page(tmp_path / "<b>none")
    assert 'role="alert"' in shown.value
    assert "&lt;b&gt;none is not a run" in shown.value
    assert "45 of class 9 forgotten" in inspector_page(small_run).children[0].value


def test_it_listens_here_alone(small_run, monkeypatch, rurk):
    from voila.app import Voila

    calls = []

    def launch(argv, config):
        calls.append((argv, config, nbformat.read(argv[0], as_version=4)))

    monkeypatch.setattr(Voila, "launch_instance", launch)
    done = rurk("inspect", "--no-browser", "--run", small_run)
    assert done.exit_code == 0, done.output
    ((argv, config, book),) = calls
    assert "--Voila.ip=127.0.0.1" in argv
    assert config.Voila.tornado_settings["allow_remote_access"] is False
    assert f"inspector_page({str(small_run)!r}, seed=None)" in book.cells[0].source
    assert not Path(argv[0]).exists()  # gone with its folder


def test_no_other_site_starts_processes():
    """Fails if pictures of a web page can."""

    def visit(site):
        request = SimpleNamespace(headers={"Sec-Fetch-Site": site})
        serve.admit(SimpleNamespace(request=request))

    visit("same-origin")
    with pytest.raises(HTTPError) as error:
        visit("cross-site")
    assert error.value.status_code == 403


def test_without_runs_digits_its_models_come_first(small_run, tmp_path, monkeypatch, rurk):
    """Fails if a newcomer waits for a whole study, or is told to run one."""
    monkeypatch.chdir(tmp_path)
    begun = []

    def begin(scenario, folder):
        folder.symlink_to(small_run)
        begun.append(scenario)
        return open_existing(folder)

    monkeypatch.setattr(study, "open_run", begin)
    monkeypatch.setattr(serve, "serve", lambda *_, **__: begun.append("served"))
    done = rurk("inspect")
    assert done.exit_code == 0, done.output
    assert begun == ["digits", "served"]
