"""The house stays small: lines of its floors and files, a docstring for whatever is public.

The numbers are a ratchet: lower them when a change takes lines away, raise one only with its reason
in tests/README.md.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CORE, STUDY, TESTS, SCRIPTS = 10217, 14921, 25308, 674
LONGEST, LONGEST_TEST = 250, 350
ONE_IDEA = {"uncertainty.py"}  # intervals, predictions and tests of one quantity, read together


def lines(path: Path) -> int:
    return path.read_text(encoding="utf-8").count("\n")


PACKAGE = sorted((ROOT / "rurklib").rglob("*.py"))
UPSTAIRS = [p for p in PACKAGE if "study" in p.relative_to(ROOT).parts]
TESTED = [p for p in sorted((ROOT / "tests").rglob("*.py")) if "benchmarks" not in p.parts]


@pytest.mark.parametrize(
    ("what", "files", "most"),
    [
        ("core", [p for p in PACKAGE if p not in UPSTAIRS], CORE),
        ("study", UPSTAIRS, STUDY),
        ("tests", TESTED, TESTS),
        ("notebooks", sorted((ROOT / "notebooks").glob("*.py")), SCRIPTS),
    ],
)
def test_no_floor_grows(what, files, most):
    total = sum(map(lines, files))
    assert total <= most, f"{what}: {total} lines, at most {most}"


def test_a_file_is_read_in_a_sitting():
    long = {p: n for p in PACKAGE if (n := lines(p)) > LONGEST and p.name not in ONE_IDEA}
    long |= {p: n for p in TESTED if (n := lines(p)) > LONGEST_TEST}
    assert not long


def test_few_files_lie_loose_at_the_root():
    loose = {p.name for p in (ROOT / "rurklib").glob("*.py")} - {"__init__.py", "__main__.py"}
    assert loose == {"checks.py", "model_state.py", "rng.py", "samples.py"}


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


def test_the_measurement_sees_neither_paths_nor_figures():
    """Imports between rooms are lint-imports' concern; this is about what isn't ours."""
    for path in sorted((ROOT / "rurklib" / "residual").glob("*.py")):
        imported = {
            name.split(".")[0]
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for name in ([node.module or ""] if isinstance(node, ast.ImportFrom) else
                         [alias.name for alias in node.names])
        }  # fmt: skip
        assert not imported & {"pathlib", "os", "matplotlib", "seaborn", "ipywidgets"}, path
