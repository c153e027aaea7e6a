"""The site that ``make site`` builds: whole, without a warning, with nothing from the network."""

import ast
import html.parser
import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urldefrag

import nbformat
import pytest
import yaml
from IPython.core.inputtransformer2 import TransformerManager

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
        self.text = path.read_text(encoding="utf-8")
        self.feed(self.text)

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
    assert "build succeeded." in done.stdout
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    return {p: Page(p) for p in site.rglob("*.html") if p.name != "try-it.html"}


def test_every_notebook_readme_and_room_has_its_page(site, pages):
    for book in BOOKS:
        page = pages[site / book.relative_to(ROOT).with_suffix(".html")]
        code = [c for c in nbformat.read(book, 4).cells if c.cell_type == "code"]
        drawn = [
            o.metadata["image/png"]
            for c in code
            for o in c.outputs
            if "image/png" in o.get("data", {})
        ]
        assert page.pictures == [one.alt for one in drawn]
        assert page.text.count('<div class="cell_input') == len(code)
        assert "is set; neither could be tried" in page.text
        assert "colab.research" not in page.text
    for readme in READMES:
        assert site / readme.relative_to(ROOT).with_name("index.html") in pages
    assert "residual_knowledge" in pages[site / "api" / "rurklib.html"].text
    measure = "rurklib.residual.measure.residual_knowledge"
    assert measure in pages[site / "api" / "rurklib.residual.html"].ids
    assert "rurklib.unlearn.rurk.rurk" in pages[site / "api" / "rurklib.unlearn.html"].ids


def test_links_resolve_and_nothing_is_loaded_from_elsewhere(site, pages):
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
    front = pages[site / "index.html"].links
    assert {"live.html", "project/CONTRIBUTING.html", "rurklib/residual/index.html"} <= front


def test_formulas_are_drawn_without_a_script(site, pages):
    for book in BOOKS:
        texts = [c.source for c in nbformat.read(book, 4).cells if c.cell_type == "markdown"]
        wanted = sum(len(re.findall(r"\$\$.+?\$\$|\$[^$\n]+\$", t, re.S)) for t in texts)
        text = pages[site / book.relative_to(ROOT).with_suffix(".html")].text
        assert text.count("<math ") == wanted
    assert "<mi>&Nscr;" in pages[site / "notebooks" / "01_train.html"].text


def test_the_live_page_is_embedded_and_the_search_knows_the_words(site, pages):
    assert "try-it.html" in pages[site / "live.html"].loads
    assert (site / "try-it.html").read_bytes() == (ROOT / "figures/try-it.html").read_bytes()
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(index.removeprefix("Search.setIndex(").removesuffix(")"))
    found = index["terms"]["residu"] + index["titleterms"]["residu"]
    assert {"index", "notebooks/03_residual_knowledge"} <= {index["docnames"][n] for n in found}


@pytest.fixture(scope="module")
def addressed(tmp_path_factory) -> Path:
    """What Sphinx would read, and Colab's notebooks, of a repository whose address is known."""
    pytest.importorskip("latex2mathml", reason='needs pip install -e ".[site]"')
    conf = runpy.run_path(str(ROOT / "notebooks" / "conf.py"))
    assert conf["ADDRESS"] == "" or conf["ADDRESS"].startswith("https://github.com/")
    folder = tmp_path_factory.mktemp("addressed")
    conf["mirror"](folder, folder / "colab", ADDRESS)
    return folder


def test_an_address_gives_buttons_and_links_to_sources(addressed):
    for book in BOOKS:
        where = book.relative_to(ROOT).as_posix()
        head = nbformat.read(addressed / where, 4).cells[0].source
        colab = f"colab.research.google.com/github/someone/something/blob/colab/{book.name}"
        assert f'"https://{colab}"' in head
        assert (
            f'"https://mybinder.org/v2/gh/someone/something/main?urlpath=lab/tree/{where}"' in head
        )
        assert "neither could be tried" in head
    front = (addressed / "index.md").read_text()
    assert f"git clone {ADDRESS} rurklib" in front
    assert f"({ADDRESS}/blob/main/CITATION.cff)" in front


def test_colabs_copy_is_the_notebook_after_a_cell_that_installs(addressed):
    for book in BOOKS:
        first, *rest = nbformat.read(addressed / "colab" / book.name, 4).cells
        assert rest == nbformat.read(book, 4).cells
        code = TransformerManager().transform_cell(first.source)
        ast.parse(code)
        assert f"rurklib[study] @ git+{ADDRESS}" in code
        opens = "open_run(scenario" in "".join(c.source for c in rest) or book.stem[:2] == "07"
        assert ("rurk study --out ../runs/digits" in code) == (opens and book.stem[:2] != "01")


def test_the_workflow_builds_by_the_rule_and_publishes():
    (job,) = yaml.safe_load((ROOT / ".github/workflows/site.yml").read_text())["jobs"].values()
    runs = " ".join(step.get("run", "") for step in job["steps"])
    assert "make site" in runs
    assert "-D address=" in runs
    assert any(step.get("uses", "").startswith("actions/deploy-pages") for step in job["steps"])
