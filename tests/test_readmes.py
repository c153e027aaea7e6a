"""Every python block of the READMEs runs, and every link leads to a file."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parent.parent
PAGES = [*ROOT.glob("*.md"), *ROOT.glob(".github/*.md")]
PAGES += [p for d in ("rurklib", "figures", "notebooks", "tests") for p in (ROOT / d).rglob("*.md")]
SCRIPTS = [ROOT / "README.md", *(ROOT / "rurklib").glob("*/README.md")]


def python(path: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_python_blocks_run(path, tmp_path, monkeypatch):
    """One file's blocks, in order, are one script."""
    monkeypatch.chdir(tmp_path)
    exec(compile("\n".join(python(path)), str(path), "exec"), {})


def test_each_file_of_the_packages_readme_is_all_that_it_takes(tmp_path):
    """A method, a perturbation, data, a metric and a scenario, put into a copy of the package: in
    the study's tables by one file each. Fails if a list, a face or a table must name it too."""
    caches = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "rurklib", tmp_path / "rurklib", ignore=caches)
    *added, script = python(ROOT / "rurklib" / "README.md")
    assert len(added) == 5
    for text in added:
        file = tmp_path / text.split("\n")[0].removeprefix("# ")
        assert not file.exists()
        file.write_text(text)
    script += "from rurklib.study.report import results_table\nimport pandas as pd\n"
    script += "print(*results_table(pd.read_csv('runs/squares/summary.csv')).columns)"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env={**os.environ, "PYTHONPATH": "."},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "sure of forget - held out" in done.stdout.splitlines()[-1]
    summary, measured = (
        pd.read_csv(tmp_path / "runs" / "squares" / f"{name}.csv")
        for name in ("summary", "residual_knowledge")
    )
    assert {"Unsure", "RURK"} <= set(summary.method)
    assert summary.confidence_gap.notna().all()
    assert set(measured.perturbation) == {"gaussian", "brighter"}
    assert "Unsure" in set(measured.method)


@pytest.mark.parametrize("path", sorted(PAGES), ids=lambda p: str(p.relative_to(ROOT)))
def test_links_and_pictures_point_to_files(path):
    for target in re.findall(r"\]\(([^)#]+)\)|src=\"([^\"]+)\"", path.read_text()):
        link = target[0] or target[1]
        assert link.startswith("http") or (path.parent / link).exists(), link


def test_every_fault_names_a_test_that_there_is():
    """tests/README.md: `room/file.py::name`, below tests/."""
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", (ROOT / "tests" / "README.md").read_text())
    assert len(named) > 40
    for file, name in named:
        assert f"def {name}(" in (ROOT / "tests" / file).read_text(), f"{file}::{name}"
