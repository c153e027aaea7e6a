"""The site of this book, of the READMEs and of the docstrings: `make site`. Sphinx reads this file.

Sphinx is given a mirror of the repository's pages, which `setup` writes first, so that their links
hold on the site as they do in the repository. No notebook is executed, and a page asks for nothing
from the network: formulas are MathML, which browsers draw themselves.
"""

import json
import os
import re
import shutil
import sys
from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert

# The repository's address, https://github.com/OWNER/NAME, if it is known: for buttons, links to
# sources and "git clone ADDRESS". For one build: make site ARGS="-D address=https://...".
ADDRESS = ""

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

project = html_title = "rurklib"
copyright = author = "the rurklib authors"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "html_image"]
myst_heading_anchors = 6
html_theme = "furo"
html_math_renderer = "mathml"
html_show_sourcelink = html_copy_source = html_show_sphinx = False
html_static_path = html_css_files = ["site.css"]
html_extra_path = ["../figures/try-it.html"]
autodoc_member_order = "bysource"
python_maximum_signature_line_length = 80
python_use_unqualified_type_names = True

# The sidebar: a caption, then patterns of its pages, in their order.
BOOK = {
    "Learn": ["notebooks/README.md", "notebooks/*.ipynb", "notebooks/*/*.ipynb",
              "notebooks/TEACHING.md"],
    "Results": ["figures/try-it.html", "figures/README.md", "figures/*/README.md"],
    "The package": ["rurklib/README.md", "rurklib/*/README.md", "tests/README.md"],
    "The project": [f".github/{n}.md" for n in ("CONTRIBUTING", "CHANGELOG", "DATA", "SECURITY")],
}  # fmt: skip
ROOMS = ("residual", "unlearn", "models", "train", "data", "metrics")
FILES = ("perturb", "edits", "attacks", "evasive", "nearest")  # of one file each
LIVE = """# Try it

It runs the models of the digits in your browser, from this one file, which you may
<a href="try-it.html" download>keep</a> or <a href="try-it.html">open on its own</a>.

<iframe src="try-it.html" title="The live page: models that answer in your browser"></iframe>
"""

BUTTONS = """\
<a class="button" href="https://colab.research.google.com/github/{name}/blob/colab/{file}">Open in
Colab</a> <a class="button" href="https://mybinder.org/v2/gh/{name}/main?urlpath=lab/tree/{page}">Open
in Binder</a> *(neither could be tried)*, or run it [on your machine]({how}).
"""
CELL = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
INSTALL = """\
# For Colab, where it could not be tried: install the package{study}.
import importlib.util

if importlib.util.find_spec("rurklib") is None:
    %pip install --quiet "rurklib[study] @ git+{address}"
"""
STUDY = "    !rurk study --out ../runs/digits --jobs 2\n"
READ_A_STUDY = ("02", "03", "04", "05", "07", "99")  # notebooks that go on where others ended


def place(path: str) -> str:
    """Where on the site a file of the repository is: a README is its folder's index."""
    path = {"figures/try-it.html": "live.md"}.get(path, path)
    return path.replace("README.md", "index.md").replace(".github/", "project/")


def from_page(page: str, path: str) -> str:
    return os.path.relpath(place(path), os.path.dirname(place(page)) or ".")


def relinked(page: str, text: str, known: set[str], site: Path, address: str) -> str:
    """A page's text with links that hold on the site. What isn't a page is copied, to be shown or
    downloaded; or it is linked to in the repository, if its address is set."""

    def link(match: re.Match) -> str:
        before, target, after = match.groups()
        path = os.path.normpath(os.path.join(os.path.dirname(page), target))
        if not (ROOT / path).exists():
            return match[0]  # another site's
        if path not in known and address and not before.startswith(("!", "<")):
            return f"{before}{address}/blob/main/{path}{after}"
        if path not in known and (ROOT / path).is_dir():
            return before[1:-2]  # its name alone
        if path not in known:
            (site / place(path)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, site / place(path))
        return before + from_page(page, path) + after

    text = re.sub(r"(!?\[[^\]]*\]\()([^)#\s]+)((?:#[^)\s]*)?\))", link, text)
    text = re.sub(r'(<img src=\\?")([^"\\]+)(\\?")', link, text)
    return text.replace("git clone ADDRESS", f"git clone {address or 'ADDRESS'}")


def with_buttons(page: str, book: dict, address: str) -> str:
    """A notebook that says below its title where it can be run, if that is known. Each picture has
    a cell (an empty one would be left out), from which MyST-NB takes its alternative text."""
    name, file = address.removeprefix("https://github.com/"), os.path.basename(page)
    if name:
        title, *rest = "".join(book["cells"][0]["source"]).split("\n")
        how = from_page(page, "notebooks/README.md")
        line = BUTTONS.format(name=name, file=file, page=page, how=how)
        book["cells"][0]["source"] = "\n".join([title, "", line, *rest])
    cells = []
    for cell in book["cells"]:
        cells.append(cell)
        outputs = list(cell.get("outputs", []))
        cell.get("outputs", []).clear()
        for output in outputs:
            if alt := output.get("metadata", {}).get("image/png", {}).get("alt"):
                hidden = {"tags": ["remove-input"], "mystnb": {"image": {"alt": alt}}}
                cells.append(CELL | {"source": "#", "outputs": [], "metadata": hidden})
                cells[-1]["id"] = f"picture-{len(cells)}"
            cells[-1]["outputs"].append(output)
    return json.dumps(book | {"cells": cells})


def for_colab(file: str, book: dict, address: str) -> str:
    """The notebook as it is, after a cell that makes what it needs on a machine with nothing."""
    reads = file.startswith(READ_A_STUDY)
    study = ", and make the study that this notebook reads: some ten minutes" if reads else ""
    source = INSTALL.format(study=study, address=address) + STUDY * reads
    cells = [CELL | {"id": "install", "source": source}, *book["cells"]]
    return json.dumps(book | {"cells": cells}, indent=1)


def api(site: Path) -> list[str]:
    """A page for the public names, and one for each room of the core."""
    (site / "api").mkdir(exist_ok=True)
    public = "   :members:\n\n.. autofunction:: rurklib.audit\n   :no-index:\n"
    heads = {"rurklib": public} | {f"rurklib.{room}": "" for room in ROOMS}
    heads |= {f"rurklib.{file}": "   :members:\n" for file in FILES}
    for page, members in heads.items():
        text = f"{page}\n{'=' * len(page)}\n\n.. automodule:: {page}\n   :no-index:\n{members}"
        for file in sorted((ROOT / page.replace(".", "/")).glob("[!_]*.py")) * ("." in page):
            name = f"{page}.{file.stem}"
            text += f"\n{name}\n{'-' * len(name)}\n\n.. automodule:: {name}\n   :members:\n"
        (site / "api" / f"{page}.rst").write_text(text, encoding="utf-8")
    return [f"api/{page}" for page in heads]


def mirror(site: Path, out: Path, address: str) -> None:
    """Writes what Sphinx reads to ``site``, and Colab's notebooks to ``out``, if there is an
    ``address`` that they could install from."""
    chapters = {
        caption: [p.relative_to(ROOT).as_posix() for g in globs for p in sorted(ROOT.glob(g))]
        for caption, globs in BOOK.items()
    }
    known = {"README.md", *(p for its in chapters.values() for p in its)}
    for page in known - {"figures/try-it.html"}:
        text = (ROOT / page).read_text(encoding="utf-8")
        if page.endswith(".ipynb") and address:
            out.mkdir(exist_ok=True)
            copy = out / os.path.basename(page)
            copy.write_text(for_colab(copy.name, json.loads(text), address), encoding="utf-8")
        text = relinked(page, text, known, site, address)
        if page.endswith(".ipynb"):
            text = with_buttons(page, json.loads(text), address)
        (site / place(page)).parent.mkdir(parents=True, exist_ok=True)
        (site / place(page)).write_text(text, encoding="utf-8")
    (site / "live.md").write_text(LIVE, encoding="utf-8")
    with (site / "index.md").open("a", encoding="utf-8") as front:
        for caption, its in chapters.items():
            names = [place(p) for p in its] + (api(site) if caption == "The package" else [])
            tree = "\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *names])
            front.write(f"\n{tree}\n```\n")


def plain_bars(app, what, name, obj, options, lines: list[str]) -> None:
    """In our docstrings a bar is a bar, not a substitution of reStructuredText's."""
    literal = r"(::\n\n(?:    .*\n|\n)+|``.*?``)"
    lines[:] = re.sub(literal + r"|\|", lambda m: m[1] or r"\|", "\n".join(lines)).split("\n")


def draw_formula(translator, node: nodes.Node) -> None:
    """MathML; a formula that can't be read stops the build."""
    display = "block" if isinstance(node, nodes.math_block) else "inline"
    drawn = convert(node.astext(), display=display)
    if "\\" in drawn:
        raise ValueError(f"a formula that latex2mathml can't read: {node.astext()}")
    drawn = re.sub(r'<mi mathvariant="script">(\w)', r"<mi>&\1scr;", drawn)  # browsers don't
    drawn = drawn.replace("<mo>&#x02016;", '<mo stretchy="false">&#x02016;')  # norms, as in TeX
    translator.body.append(f"<div class='formula'>{drawn}</div>" if display == "block" else drawn)
    raise nodes.SkipNode


def setup(app) -> None:
    app.add_config_value("address", ADDRESS, "env")
    app.connect("autodoc-process-docstring", plain_bars)
    app.add_html_math_renderer("mathml", (draw_formula, None), (draw_formula, None))
    address = app.config.address.removesuffix("/").removesuffix(".git")
    mirror(Path(app.srcdir), Path(app.outdir) / "colab", address)
