"""The plane in JupyterLab: its sliders show what the package computes for the same state."""

import time

import pytest
from servers import WAIT, lab, run_all

import rurklib
from rurklib.data.bundled import iris
from rurklib.study.inspector.plane import (
    Plane,
    forget_and_retrain,
    shares,
    trajectory,
    view,
)
from rurklib.study.panels.plane import regions

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def plane():
    """The notebook's own case: the panel in it is about this."""
    case = forget_and_retrain(iris(features=(0, 1)), seed=0, forget=7, references=8)
    steps = {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.0}
    near = {"tau": 0.05, "v": 8, "perturbation": "uniform-l2"}
    gd = rurklib.unlearn("GD", case.original, case.retain, case.forget, seed=0, epochs=40, **steps)
    grid = {"lambdas": [0.0, 0.03, 0.1, 0.3, 1.0], "steps": [0, 2, 5, 10, 15, 20, 25, 30, 40]}
    return Plane(case, gd, trajectory(case, **grid, **steps, **near))


def test_sliders_in_jupyterlab(chromium, plane, tmp_path):
    table = shares(plane, tau=0.05, norm="l2", lam=0.1, steps=40)
    sample = int((table["Original"] - table["Re-train (mean)"]).argmax())
    state = {"sample": sample, "tau": 0.05, "norm": "l2", "lam": 0.1, "steps": 40, "reference": 0}
    twin = regions(plane)
    chosen = {"until": "display(panel.widget)", "out": str(tmp_path / "out")}
    with lab("research/two_dimensions.ipynb", tmp_path, **chosen) as found:
        tab = chromium.new_page(viewport={"width": 1400, "height": 1000})
        tab.goto(found, timeout=WAIT * 1000)
        run_all(tab)
        slider = tab.get_by_role("slider")
        slider.first.wait_for(timeout=WAIT * 1000)
        took = []
        for at, key, change in (
            (1, "ArrowRight", {"tau": 0.07}),
            (3, "ArrowLeft", {"steps": 30}),
            (2, "ArrowRight", {"lam": 0.3}),
            (1, "ArrowLeft", {"tau": 0.05}),
        ):
            state |= change
            words = twin.update(view(plane, **state))
            began = time.perf_counter()
            slider.nth(at).press(key)
            tab.wait_for_function(
                "w => document.body.innerText.includes(w)", arg=words, timeout=WAIT * 1000
            )
            took.append(time.perf_counter() - began)
            assert tab.get_by_role("img", name=words, exact=True).count() == 1, "alt text"
        print(f"slider steps: {', '.join(f'{1000 * t:.0f} ms' for t in took)}")
        assert not tab.locator(".jp-RenderedText[data-mime-type$=stderr]").count()
        tab.close()
