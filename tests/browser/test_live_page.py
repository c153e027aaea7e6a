"""The live page in a browser, from its file, the network off: steps by keys, on a phone, in the
dark and without a word on the console."""

import pytest

from rurklib.study.cli import main

AXE = "axe_playwright_python.sync_playwright"


@pytest.fixture(scope="module")
def html(small_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "live.html"
    main(["page", "--run", str(small_run), "--out", str(out), "--methods", "GD,RURK"])
    return out


@pytest.fixture(scope="module")
def opened(chromium, html):
    """``opened(**context)``: the page, its first step drawn; at the end no console said a word."""
    pages, said = [], []

    def open_page(**context):
        asked = {"viewport": {"width": 1280, "height": 900}, "offline": True}
        asked |= {"reduced_motion": "reduce", **context}
        page = chromium.new_context(**asked).new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(html.as_uri())
        pages.append(page)
        return page

    yield open_page
    for page in pages:
        page.context.close()
    assert said == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_accessibility_violation_in_any_step(opened, scheme):
    axe = pytest.importorskip(AXE, reason="axe-playwright-python isn't installed").Axe()
    page = opened(color_scheme=scheme)
    for step in range(4):
        page.evaluate(f"rurk.goTo({step})")
        found = axe.run(page).response["violations"]
        assert [(v["id"], n["html"]) for v in found for n in v["nodes"]] == []


def test_the_steps_lead_on_by_keys_alone_and_then_everything_can_be_tried(opened):
    page = opened()
    assert page.locator("#models tr").count() == 1
    for heading, rows in (("never saw", 5), ("too hard", 4), ("Your turn", 6)):
        page.locator("#next").focus()
        page.keyboard.press("Enter")
        assert heading in page.evaluate("document.activeElement.textContent")
        assert page.locator("#models tr").count() == rows
        assert "copies" in page.locator("#said").inner_text()
    assert "of 2700" in page.locator("#models tr").first.inner_text()
    before = page.locator("#copy").evaluate("c => c.toDataURL()")
    page.locator("#tau").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#tauValue").inner_text().startswith("0.25")
    assert page.locator("#copy").evaluate("c => c.toDataURL()") != before
    page.locator("#choices input:checked").focus()  # all together
    page.keyboard.press("ArrowDown")
    assert page.evaluate("rurk.state.choice") == 0
    hits, ratio = page.evaluate("[rurk.found(0), rurk.ratio(0)]")
    others = page.evaluate("[1, 2, 3].map(rurk.found)")
    assert ratio == pytest.approx(hits / (sum(others) / 3), abs=6e-4)


def test_copies_are_drawn_one_after_the_other(opened):
    page = opened(reduced_motion="no-preference")
    page.get_by_role("button", name="Draw all again").click()
    assert page.evaluate("rurk.state.drawn") < 60
    page.wait_for_timeout(5000)
    assert page.evaluate("rurk.state.drawn") == 60


def test_on_a_phone_nothing_is_cut_off(opened):
    page = opened(viewport={"width": 390, "height": 844}, has_touch=True)
    for step in range(4):
        page.evaluate(f"rurk.goTo({step})")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        inside = (
            "e => { const b = e.getBoundingClientRect(); return b.left >= 0 && b.right <= 390; }"
        )
        parts = "main :is(button, output, td, th, p, canvas#image, svg#chart):visible"
        for part in page.locator(parts).all():
            assert part.evaluate(inside), part.evaluate("e => e.outerHTML")
