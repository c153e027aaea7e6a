"""The inspector in a real browser: a slider moves the picture that the package computes."""

import shutil
import statistics
import time
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from servers import WAIT, inspector_page

from rurklib.study.inspector import Inspector
from rurklib.study.panel import Copy
from rurklib.study.run import open_existing

pytestmark = pytest.mark.slow
SLOW = 1.5  # seconds that a slider step may take here: a loaded machine, a browser, a kernel
AXE = "axe_playwright_python.sync_playwright"
# Of Voila's page, of ipywidgets' sliders, which have no name, and of its folds.
NOT_OURS = {"region", "aria-input-field-name", "color-contrast"}


@pytest.fixture(scope="module")
def run(small_run, tmp_path_factory):
    """A copy of the run that this file may write into."""
    folder = tmp_path_factory.mktemp("inspected") / "digits"
    shutil.copytree(small_run, folder)
    return folder


@pytest.fixture(scope="module")
def address(chromium, run, tmp_path_factory):
    began = time.perf_counter()
    with inspector_page(run, tmp_path_factory.mktemp("page")) as found:
        print(f"address after {time.perf_counter() - began:.1f} s")
        yield found


@pytest.fixture(scope="module")
def page(chromium, address):
    """The page on a desk, opened once for all tests."""
    began, tab = time.perf_counter(), chromium.new_page(viewport={"width": 1280, "height": 900})
    tab.goto(address, timeout=WAIT * 1000)
    tab.get_by_role("img").nth(1).wait_for(timeout=WAIT * 1000)
    print(f"sliders {time.perf_counter() - began:.1f} s after the address")
    yield tab
    tab.close()


def shows(tab, inspector, tau) -> None:
    view = inspector.view(int(inspector.order[0]), "gaussian", tau)
    picture = Copy(view, inspector.classes)
    picture.update(view)
    title = " ".join(picture.figure.get_suptitle().split())
    tab.get_by_role("img", name=title, exact=True).wait_for(timeout=20000)


def test_a_slider_moves_the_picture_soon(page, run):
    inspector, took = Inspector(open_existing(run)), []
    shows(page, inspector, 0.2)
    tau = page.get_by_role("slider").nth(1)
    for k in range(1, 11):
        began = time.perf_counter()
        tau.press("ArrowRight")
        shows(page, inspector, round(0.2 + 0.01 * k, 6))
        took.append(time.perf_counter() - began)
    print(f"slider step, key to picture: median {1000 * statistics.median(took):.0f} ms")
    assert statistics.median(took) < SLOW


def test_buttons_draw_the_ratio_and_save(page, run):
    page.get_by_role("button", name="running ratio").click()
    page.get_by_role("img").nth(2).wait_for(timeout=20000)
    page.get_by_role("button", name="save").click()
    page.get_by_text("a row added to").wait_for(timeout=20000)
    assert (run / "inspect" / "views.csv").exists()


def test_no_accessibility_violation(page):
    axe = pytest.importorskip(AXE, reason="axe-playwright-python isn't installed").Axe()
    found = [v for v in axe.run(page).response["violations"] if v["id"] not in NOT_OURS]
    assert [(v["id"], n["html"]) for v in found for n in v["nodes"]] == []


@pytest.mark.parametrize(
    "headers", [{"Host": "example.org"}, {"Sec-Fetch-Site": "cross-site"}], ids=str
)
def test_other_names_and_other_sites_are_refused(address, headers):
    """Fails if a name that somebody else's server answers for may be this page's."""
    with pytest.raises(HTTPError) as error:
        urlopen(Request(address, headers=headers), timeout=WAIT)
    assert error.value.code == 403
