"""The house stays small: the ceilings of the second edition, which only fall.

A number here is lowered when a change takes something away and never raised. Lines are those of
``.py``, ``.js``, ``.css``, ``.html``, ``.yaml``, ``.json`` and ``.j2``, blanks and docstrings
included; options are distinct names over all commands, without ``--help`` and ``--version``.
"""

import ast
from pathlib import Path

import pytest

from rurklib.study.cli import app, option_names

ROOT = Path(__file__).parent.parent
KINDS = {".py", ".js", ".css", ".html", ".yaml", ".json", ".j2"}
UPSTAIRS = ("study", "browser")
PACKAGE = sorted((ROOT / "rurklib").rglob("*.py"))


def files(folder: str, *without: str) -> list[Path]:
    """The files in a folder, but for those in its folders ``without``."""
    beside = {ROOT / folder / name for name in without}
    paths = [p for p in (ROOT / folder).rglob("*") if p.suffix in KINDS]
    return [p for p in paths if not beside & {*p.parents}]


def lines(folder: str, *without: str) -> int:
    """Lines of those files."""
    return sum(p.read_text(encoding="utf-8").count("\n") for p in files(folder, *without))


def exceptions() -> int:
    """Comments in the core that switch a tool off."""
    text = "".join(p.read_text(encoding="utf-8") for p in files("rurklib", "study"))
    return text.count("# fmt: skip") + text.count("# noqa")


def words() -> int:
    """Words in all Markdown of the repository."""
    pages = [p for p in ROOT.rglob("*.md") if not hidden(p)]
    return sum(len(p.read_text(encoding="utf-8").split()) for p in pages)


def hidden(path: Path) -> bool:
    """Whether a path is in an environment, a build or a run."""
    parts = path.relative_to(ROOT).parts[:-1]
    return any(p in ("build", "runs") or (p[0] == "." and p != ".github") for p in parts)


@pytest.mark.parametrize(
    ("what", "count", "most"),
    [
        ("lines of the core", lambda: lines("rurklib", "study"), 5900),
        ("lines of the study", lambda: lines("rurklib/study"), 8300),
        ("lines of notebooks and of the site", lambda: lines("notebooks"), 640),
        ("lines of tests", lambda: lines("tests", "benchmarks"), 10850),
        ("lines of the core's tests", lambda: lines("tests", "benchmarks", *UPSTAIRS), 5400),
        ("lines of tests/benchmarks", lambda: lines("tests/benchmarks"), 760),
        ("switched-off checks in the core", exceptions, 0),
        ("words in .md", words, 38500),
        ("Python files in rurklib", lambda: len(PACKAGE), 69),
        ("names of options", lambda: len(option_names(app)), 36),
    ],
)
def test_nothing_grows(what, count, most):
    assert count() <= most, what


def test_whatever_is_public_says_what_it_does():
    silent = []
    for path in PACKAGE:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert path.name == "__main__.py" or ast.get_docstring(tree), path
        for node in tree.body:
            named = isinstance(node, (ast.FunctionDef, ast.ClassDef))
            if named and not node.name.startswith("_") and not ast.get_docstring(node):
                silent.append(f"{path.relative_to(ROOT)}: {node.name}")
    assert not silent
