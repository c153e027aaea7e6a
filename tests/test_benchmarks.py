"""The benchmarks, which take too long for a test: what they ask of tests and package is there."""

import ast
import importlib
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.parametrize("path", sorted((HERE / "benchmarks").glob("*.py")), ids=lambda p: p.stem)
def test_what_a_benchmark_names_is_there(path, monkeypatch):
    """Fails if a name was moved out of a module that a benchmark imports, in whichever function."""
    for folder in (path.parent, HERE / "residual"):
        monkeypatch.syspath_prepend(folder)
    tree, modules = ast.parse(path.read_text()), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for its in node.names:
                modules[its.asname or its.name.split(".")[0]] = importlib.import_module(its.name)
        elif isinstance(node, ast.ImportFrom):
            home = importlib.import_module(node.module)
            for name in (its.name for its in node.names if not hasattr(home, its.name)):
                importlib.import_module(f"{node.module}.{name}")
    asked = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute)]
    named = [n for n in asked if isinstance(n.value, ast.Name) and n.value.id in modules]
    missing = [n.attr for n in named if not hasattr(modules[n.value.id], n.attr)]
    assert missing == []
