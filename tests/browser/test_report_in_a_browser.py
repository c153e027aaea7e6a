"""A report's tables in a real browser: whatever is too wide is scrolled in its place, not cut."""

import pandas as pd
import pytest

from rurklib.study.report import Part, page

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("width", [1280, 390])
def test_no_table_is_cut(chromium, tmp_path, width):
    """The last column can be brought into sight, beside the first. Fails if a wide table makes the
    page wider than the screen, or is hidden beyond its edge."""
    table = pd.DataFrame({"method": ["RURK"], **{f"column number {k}": [k / 7] for k in range(24)}})
    page(tmp_path / "r.html", "A report", [Part("Numbers", table=table)])
    tab = chromium.new_page(viewport={"width": width, "height": 800})
    tab.goto((tmp_path / "r.html").as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    last = tab.locator("td").last
    assert last.bounding_box()["x"] > width
    last.scroll_into_view_if_needed()
    for cell in (last, tab.locator("td").first):
        box = cell.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
    tab.close()
