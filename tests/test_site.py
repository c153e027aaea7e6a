"""The site that ``make site`` builds: whole, without a warning, with nothing from the network."""

import html.parser
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urldefrag

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
BOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))


class Page(html.parser.HTMLParser):
    """What a page links to or loads, and what can be linked to in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links, self.loads, self.ids, self.pictures = set(), set(), {""}, []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids.add(given.get("id", ""))
        self.pictures += [given.get("alt", "")] if tag == "img" else []
        if given.get("rel") not in ("search", "canonical"):
            kind = self.links if tag == "a" else self.loads
            kind |= {given[k] for k in ("src", "href") if k in given}


@pytest.mark.slow
def test_the_site_is_whole_and_loads_nothing_from_elsewhere(tmp_path):
    """A page for each notebook, with its pictures and their alternative texts; every link leads
    somewhere. Built by the Makefile's own command, in another folder."""
    pytest.importorskip("myst_nb", reason='needs pip install -e ".[site]"')
    (tmp_path / "source").mkdir()
    command = re.search(r"python (-m sphinx -W .*)", (ROOT / "Makefile").read_text())[1]
    words = command.replace("$(ARGS) ", "").replace("build/site", str(tmp_path)).split()
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    site = tmp_path / "html"
    pages = {p: Page(p) for p in site.rglob("*.html") if p.name != "try-it.html"}
    for book in BOOKS:
        outputs = [o for c in nbformat.read(book, 4).cells for o in c.get("outputs", [])]
        drawn = [o.metadata["image/png"].alt for o in outputs if "image/png" in o.get("data", {})]
        assert pages[site / book.relative_to(ROOT).with_suffix(".html")].pictures == drawn
    for path, page in pages.items():
        assert all(page.pictures), (path.name, "a picture without alternative text")
        assert not [x for x in page.loads if re.match(r"(https?:)?//", x)], path.name
        for link in page.links | page.loads:
            target, anchor = urldefrag(unquote(link).split("?")[0])
            there = Path(os.path.normpath(path.parent / target)) if target else path
            if not re.match(r"\w+:", target):
                assert there.is_file(), (path.name, link)
                assert there not in pages or anchor in pages[there].ids, (path.name, link)
