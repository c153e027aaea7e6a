"""The inspector in a real browser, as a page and in JupyterLab: what is read there is what the
package computes for the same state."""

import shutil
import statistics
import time
from contextlib import ExitStack
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pandas as pd
import pytest
from PIL import Image
from servers import WAIT, inspector_page, lab, parameters, run_all, to_panel

from rurklib.study.cli.serve import FIRST
from rurklib.study.figures.inspector import Copy, Probabilities
from rurklib.study.files import write_json
from rurklib.study.inspector.view import Inspector
from rurklib.study.run import open_existing

pytestmark = pytest.mark.slow
READY = "export PNG and CSV row"
SLOW = 1.5  # seconds that a slider step may take here: a loaded machine, a browser, a kernel


@pytest.fixture(scope="module")
def run(small_run, tmp_path_factory) -> Path:
    """A copy of the run that this file may write into and harm, with a picture of notebook 5's."""
    folder = tmp_path_factory.mktemp("inspected") / "digits"
    shutil.copytree(small_run, folder)
    first = folder / FIRST
    first.parent.mkdir(exist_ok=True)
    Image.new("RGB", (40, 20), "red").save(first)
    write_json(first.with_suffix(".json"), {"alt": "drawn before"})
    return folder


@pytest.fixture(scope="module")
def inspector(run) -> Inspector:
    return Inspector(open_existing(run))


@pytest.fixture(scope="module")
def server():
    """What closes the server when it is closed."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def address(chromium, run, server, tmp_path_factory) -> str:
    return server.enter_context(inspector_page(run, tmp_path_factory.mktemp("page")))


@pytest.fixture(scope="module")
def loaded() -> list[str]:
    """The addresses that ``page`` asked."""
    return []


@pytest.fixture(scope="module")
def page(chromium, address, loaded):
    """The page on a desk, loaded once for the tests that only look and choose."""
    tab = chromium.new_page(viewport={"width": 1280, "height": 900})
    tab.on("response", lambda r: loaded.append(r.url))
    tab.goto(address, timeout=WAIT * 1000, wait_until="commit")
    drawn = tab.get_by_role("img", name="drawn before")
    drawn.wait_for(timeout=WAIT * 1000)  # before there is a panel, and not after
    assert tab.get_by_role("button", name=READY).count() == 0
    tab.get_by_role("button", name=READY).wait_for(timeout=WAIT * 1000)
    wait_for(tab, "The band is the 95 % interval")  # drawn unasked
    assert not drawn.is_visible()
    assert "counted already" not in tab.inner_text("body")
    yield tab
    tab.close()


def wait_for(tab, words: str) -> float:
    """Wait until these words stand on the page; seconds that it took."""
    began = time.perf_counter()
    tab.wait_for_function("w => document.body.innerText.includes(w)", arg=words, timeout=20000)
    return time.perf_counter() - began


def boxes(*found) -> list[dict[str, float]]:
    """Where these are on the page, asked again while one of them is being drawn anew: it has no box
    then, and what stands beside it is about to move."""
    before, deadline = None, time.monotonic() + 20
    while time.monotonic() < deadline:
        now = [each.bounding_box() for each in found]
        if all(now) and now == before:
            return now
        before = now
        found[0].page.wait_for_timeout(100)
    raise AssertionError(f"no rest within 20 s: {before}")


def words_of(inspector, *state) -> tuple[str, str]:
    """What stands below copy and bars when this is set: numbers that the package computed."""
    view = inspector.view(*state)
    return tuple(kind(view, inspector.classes).update(view) for kind in (Copy, Probabilities))


def shows(tab, inspector, *state) -> None:
    for words in words_of(inspector, *state):
        wait_for(tab, words)
        tab.get_by_role("img", name=words, exact=True).wait_for(timeout=20000)  # one, not more


def choose(tab, inspector) -> None:
    """One tour on the page and in JupyterLab: sample, perturbation, norm, tau, found on, steps."""
    first, second = inspector.order[:2].tolist()
    slider = tab.get_by_role("slider")
    shows(tab, inspector, first, "gaussian", 0.2)
    slider.nth(0).press("ArrowRight")
    shows(tab, inspector, second, "gaussian", 0.2)
    tab.get_by_label("perturbation", exact=True).select_option("PGD")
    shows(tab, inspector, second, "pgd", 0.2)
    tab.get_by_label("norm", exact=True).select_option("L2")
    shows(tab, inspector, second, "pgd-l2", 1.6)
    slider.nth(1).press("ArrowLeft")
    shows(tab, inspector, second, "pgd-l2", 1.52)
    tab.get_by_label("found on", exact=True).select_option("GD")
    slider.nth(3).press("ArrowLeft")
    shows(tab, inspector, second, "pgd-l2", 1.52, 0, "GD", 9)


def test_choices_on_the_page_show_what_the_package_computes(page, inspector):
    choose(page, inspector)


def test_a_slider_step_is_answered_soon(page, inspector, record_property):
    page.get_by_label("perturbation", exact=True).select_option("Gaussian")
    sample = int(inspector.order[1])
    wait_for(page, words_of(inspector, sample, "gaussian", 0.19)[1])  # the last to change
    tau, took = page.get_by_role("slider").nth(1), []
    for k in range(1, 11):
        words = words_of(inspector, sample, "gaussian", round(0.19 + 0.01 * k, 6))[1]
        began = time.perf_counter()
        tau.press("ArrowRight")
        wait_for(page, words)
        took.append(time.perf_counter() - began)
    median = statistics.median(took)
    record_property("median_seconds", median)
    print(f"slider step, key to picture: median {1000 * median:.0f} ms, most {max(took):.2f} s")
    assert median < SLOW


def test_the_button_works(page):
    page.get_by_role("button", name="running ratio").click()
    wait_for(page, "The band is the 95 % interval")
    assert page.get_by_role("img").count() == 3


def test_export_writes_the_files(page, run, inspector):
    page.get_by_role("button", name=READY).click()
    wait_for(page, "written: ")
    row = pd.read_csv(run / "inspect" / "views.csv").iloc[-1]
    assert row["sample"] == inspector.order[1]
    view = inspector.view(int(row["sample"]), row.law, row.tau, int(row.draw))
    assert row.Original_probability == pytest.approx(view.row("Original")[0, 9], rel=1e-5)
    assert Image.open(run / "inspect" / row.file).width > 360


def test_keys_alone_reach_and_move_everything(page):
    """Tab from the first slider: each control in turn has the focus, and shows it."""
    page.get_by_label("perturbation", exact=True).select_option("PGD")
    page.wait_for_function("document.querySelectorAll('select:disabled').length == 0")
    page.get_by_role("slider").nth(0).focus()
    roles = []
    for _ in range(14):
        roles.append(
            page.evaluate(
                "(e => e.getAttribute('role') || e.tagName + ':' + e.innerText.slice(0, 8))"
                "(document.activeElement)"
            ).split("\n")[0]
        )
        page.keyboard.press("Tab")
    kinds = [r.split(":")[0] for r in roles]
    assert kinds.count("slider") == 4
    assert kinds.count("SELECT") == 5
    assert any(r == "BUTTON:export P" for r in roles)


def test_sliders_are_named_and_say_what_is_set(page):
    """To a screen reader, which would else read a step's number."""
    page.get_by_label("perturbation", exact=True).select_option("Gaussian")
    page.wait_for_function("document.querySelectorAll('select:disabled').length == 3")
    tau = page.get_by_role("slider", name="tau", exact=True)
    for key, said in (("Home", "0"), *[("ArrowRight", f"0.0{k}") for k in (1, 2, 3)]):
        tau.press(key)
        page.wait_for_function(
            "([slider, said]) => slider.getAttribute('aria-valuetext') == said",
            arg=[tau.element_handle(), said],
        )


def test_on_a_phone_nothing_is_cut_off(page):
    page.set_viewport_size({"width": 390, "height": 844})
    pictured = page.get_by_role("img", name="their difference times")
    slider = page.get_by_role("slider", name="tau", exact=True)
    copy, tau = boxes(pictured, slider)
    assert 0 < tau["y"] + tau["height"] - copy["y"] < 844  # tau and its copy are on one screen
    wider = page.evaluate(
        "[...document.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > 391"
        " && e.getClientRects().length && !e.closest('.noUi-target'))"
        ".map(e => e.tagName + '.' + e.className)"
    )
    assert wider == []
    # All at once: a picture that is drawn anew meanwhile has no box.
    widths = page.evaluate(
        "[...document.querySelectorAll('img, [role=img]')]"
        ".map(e => e.getBoundingClientRect().width)"
    )
    assert 0 < max(widths) <= 390


@pytest.mark.parametrize(
    "headers", [{"Host": "example.org"}, {"Sec-Fetch-Site": "cross-site"}], ids=str
)
def test_other_names_and_other_sites_are_refused(address, headers):
    """Fails if a name that somebody else's server answers for may be this page's."""
    with pytest.raises(HTTPError) as error:
        urlopen(Request(address, headers=headers), timeout=WAIT)
    assert error.value.code == 403


def test_notebook_5_in_jupyterlab(chromium, inspector, tmp_path):
    with lab("05_inspect_perturbations.ipynb", tmp_path, **parameters(inspector.run)) as found:
        tab = chromium.new_page(viewport={"width": 1280, "height": 900})
        tab.goto(found, timeout=WAIT * 1000)
        run_all(tab)
        tab.get_by_role("button", name=READY).wait_for(timeout=WAIT * 1000)
        to_panel(tab)
        assert not tab.locator(".jp-RenderedText[data-mime-type$=stderr]").count()
        choose(tab, inspector)
        tab.close()


def test_a_page_loads_nothing_from_elsewhere_and_says_when_its_server_is_gone(page, server, loaded):
    """The last test that has this server."""
    assert [url for url in loaded if "127.0.0.1" not in url and url[:5] != "data:"] == []
    assert len(loaded) > 5
    server.close()
    wait_for(page, "The inspector has stopped")
