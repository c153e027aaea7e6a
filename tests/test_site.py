"""The site that ``make site`` builds: whole, without a warning, with nothing from the network."""

import html.parser
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urldefrag

import nbformat
import pytest

ROOT = Path(__file__).parent.parent
RULE = (ROOT / "Makefile").read_text(encoding="utf-8").split("\nsite:")[1].split("\n\n")[0]
BOOKS = sorted((ROOT / "notebooks").rglob("*.ipynb"))
READMES = [p for d in ("figures", "rurklib") for p in sorted((ROOT / d).rglob("README.md"))]
ADDRESS = "https://github.com/someone/something"
pytestmark = pytest.mark.slow


class Page(html.parser.HTMLParser):
    """What a page links to, what it loads, and what can be linked to in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links, self.loads, self.ids, self.pictures = set(), set(), {""}, []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids.add(given.get("id", ""))
        if tag == "img":
            self.pictures.append(given.get("alt", ""))
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        elif tag != "a" and (given.get("rel") not in ("search", "canonical")):
            self.loads |= {given[k] for k in ("src", "href") if k in given}


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """Built by the rule's own command, in another folder."""
    pytest.importorskip("myst_nb", reason='needs pip install -e ".[site]"')
    folder = tmp_path_factory.mktemp("site")
    (folder / "source").mkdir()
    command = re.search(r"python (-m sphinx .*)", RULE)[1].replace("$(ARGS) ", "")
    words = command.replace("build/site", str(folder)).split()
    assert "-W" in words
    done = subprocess.run(
        [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    return folder / "html"


def test_the_site_is_whole_and_loads_nothing_from_elsewhere(site):
    """A page for each notebook, with its pictures and their alternative texts, and for each README;
    every link leads somewhere."""
    pages = {p: Page(p) for p in site.rglob("*.html") if p.name != "try-it.html"}
    for book in BOOKS:
        outputs = [o for c in nbformat.read(book, 4).cells for o in c.get("outputs", [])]
        drawn = [o.metadata["image/png"] for o in outputs if "image/png" in o.get("data", {})]
        page = pages[site / book.relative_to(ROOT).with_suffix(".html")]
        assert page.pictures == [one.alt for one in drawn]
    for readme in READMES:
        assert site / readme.relative_to(ROOT).with_name("index.html") in pages
    assert "try-it.html" in pages[site / "live.html"].loads
    for path, page in pages.items():
        assert all(page.pictures), (path.name, "a picture without alternative text")
        assert not [x for x in page.loads if re.match(r"(https?:)?//", x)], path.name
        for link in page.links | page.loads:
            target, anchor = urldefrag(unquote(link).split("?")[0])
            if re.match(r"\w+:", target):
                continue
            there = Path(os.path.normpath(path.parent / target)) if target else path
            assert there.is_file(), (path.name, link)
            assert there not in pages or anchor in pages[there].ids, (path.name, link)


def test_an_address_gives_buttons_links_to_sources_and_copies_that_install(tmp_path):
    pytest.importorskip("latex2mathml", reason='needs pip install -e ".[site]"')
    conf = runpy.run_path(str(ROOT / "notebooks" / "conf.py"))
    conf["mirror"](tmp_path, tmp_path / "colab", ADDRESS)
    for book in BOOKS:
        head = nbformat.read(tmp_path / book.relative_to(ROOT), 4).cells[0].source
        assert f"github/someone/something/blob/colab/{book.name}" in head
        first, *rest = nbformat.read(tmp_path / "colab" / book.name, 4).cells
        assert rest == nbformat.read(book, 4).cells
        assert f"rurklib[study] @ git+{ADDRESS}" in first.source
    assert f"git clone {ADDRESS} rurklib" in (tmp_path / "index.md").read_text()
