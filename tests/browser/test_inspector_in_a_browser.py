"""The inspector in a real browser: what is read there is what the package computes for the same
state."""

import shutil
import statistics
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pandas as pd
import pytest
from PIL import Image
from servers import WAIT, inspector_page

from rurklib.study.figures.inspector import Copy, Probabilities
from rurklib.study.inspector.view import Inspector
from rurklib.study.run import open_existing

pytestmark = pytest.mark.slow
READY = "export PNG and CSV row"
SLOW = 1.5  # seconds that a slider step may take here: a loaded machine, a browser, a kernel
AXE = "axe_playwright_python.sync_playwright"


@pytest.fixture(scope="module")
def run(small_run, tmp_path_factory) -> Path:
    """A copy of the run that this file may write into."""
    folder = tmp_path_factory.mktemp("inspected") / "digits"
    shutil.copytree(small_run, folder)
    return folder


@pytest.fixture(scope="module")
def inspector(run) -> Inspector:
    return Inspector(open_existing(run))


@pytest.fixture(scope="module")
def address(chromium, run, tmp_path_factory):
    with inspector_page(run, tmp_path_factory.mktemp("page")) as found:
        yield found


@pytest.fixture(scope="module")
def page(chromium, address):
    """The page on a desk, opened once for all tests; the ratio is drawn unasked."""
    tab = chromium.new_page(viewport={"width": 1280, "height": 900})
    tab.goto(address, timeout=WAIT * 1000)
    tab.get_by_role("button", name=READY).wait_for(timeout=WAIT * 1000)
    tab.get_by_role("img").nth(2).wait_for(timeout=20000)
    assert "counted already" not in tab.inner_text("body")
    yield tab
    tab.close()


def shows(tab, inspector, *state) -> None:
    view = inspector.view(*state)
    for kind in (Copy, Probabilities):
        picture = kind(view, inspector.classes)
        picture.update(view)
        title = " ".join(picture.figure.get_suptitle().split())
        tab.get_by_role("img", name=title, exact=True).wait_for(timeout=20000)  # one, not more


def test_a_slider_moves_the_picture_soon(page, inspector):
    first = int(inspector.order[0])
    shows(page, inspector, first, "gaussian", 0.2)
    tau, took = page.get_by_role("slider", name="tau", exact=True), []
    for k in range(1, 11):
        began = time.perf_counter()
        tau.press("ArrowRight")
        shows(page, inspector, first, "gaussian", round(0.2 + 0.01 * k, 6))
        took.append(time.perf_counter() - began)
    print(f"slider step, key to picture: median {1000 * statistics.median(took):.0f} ms")
    assert statistics.median(took) < SLOW
    assert tau.get_attribute("aria-valuetext") == "0.3"
    page.get_by_label("perturbation", exact=True).select_option("PGD")
    shows(page, inspector, first, "pgd", 0.3)


def test_export_writes_the_files(page, run, inspector):
    page.get_by_role("button", name=READY).click()
    page.get_by_text("written: ").wait_for(timeout=20000)
    row = pd.read_csv(run / "inspect" / "views.csv").iloc[-1]
    view = inspector.view(int(row["sample"]), row.law, row.tau, int(row.draw))
    assert row.Original_probability == pytest.approx(view.row("Original")[0, 9], rel=1e-5)
    assert Image.open(run / "inspect" / row.file).width > 360


def test_keys_alone_reach_everything(page):
    """Tab from the first slider: each control in turn has the focus."""
    page.get_by_label("perturbation", exact=True).select_option("PGD")
    page.wait_for_function("document.querySelectorAll('select:disabled').length == 0")
    page.get_by_role("slider").nth(0).focus()
    seen = []
    for _ in range(14):
        seen.append(
            page.evaluate("(e => e.getAttribute('role') || e.tagName)(document.activeElement)")
        )
        page.keyboard.press("Tab")
    assert (seen.count("slider"), seen.count("SELECT")) == (4, 5)
    assert "BUTTON" in seen


def test_no_accessibility_violation(page):
    axe = pytest.importorskip(AXE, reason="axe-playwright-python isn't installed").Axe()
    found = [v for v in axe.run(page).response["violations"] if v["id"] != "region"]  # Voila's
    assert [(v["id"], n["html"]) for v in found for n in v["nodes"]] == []


def test_on_a_phone_nothing_is_cut_off(page):
    page.set_viewport_size({"width": 390, "height": 844})
    page.wait_for_timeout(500)
    wider = page.evaluate(
        "[...document.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > 391"
        " && e.getClientRects().length && !e.closest('.noUi-target'))"
        ".map(e => e.tagName + '.' + e.className)"
    )
    assert wider == []


@pytest.mark.parametrize(
    "headers", [{"Host": "example.org"}, {"Sec-Fetch-Site": "cross-site"}], ids=str
)
def test_other_names_and_other_sites_are_refused(address, headers):
    """Fails if a name that somebody else's server answers for may be this page's."""
    with pytest.raises(HTTPError) as error:
        urlopen(Request(address, headers=headers), timeout=WAIT)
    assert error.value.code == 403
