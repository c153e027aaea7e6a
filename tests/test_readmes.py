"""Every python block of the READMEs runs, one file's blocks in order in one namespace."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
READMES = [ROOT / f"{folder}README.md" for folder in ("", "rurklib/residual/", "rurklib/train/")]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob(".github/*.md")]
PAGES += [p for d in ("rurklib", "figures", "notebooks", "tests") for p in (ROOT / d).rglob("*.md")]


# The blocks of rurklib/README.md are files of the package: tests/test_adding.py.
@pytest.mark.parametrize("path", READMES, ids=lambda p: str(p.relative_to(ROOT)))
def test_python_blocks_run(path, tmp_path, monkeypatch):
    from rurklib.perturb import PERTURBATIONS
    from rurklib.study.scenarios import SCENARIOS
    from rurklib.unlearn.contract import METHODS, SEARCH

    kept = [(d, dict(d)) for d in (METHODS, SEARCH, PERTURBATIONS, SCENARIOS)]
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", path.read_text(), re.M | re.S)
    assert blocks
    namespace: dict = {}
    try:
        for block in blocks:
            exec(compile(block, str(path), "exec"), namespace)
    finally:
        for registry, entries in kept:
            registry.clear()
            registry.update(entries)


@pytest.mark.parametrize("path", sorted(PAGES), ids=lambda p: str(p.relative_to(ROOT)))
def test_links_and_pictures_point_to_files(path):
    for target in re.findall(r"\]\(([^)#]+)\)|src=\"([^\"]+)\"", path.read_text()):
        link = target[0] or target[1]
        if not link.startswith("http"):
            assert (path.parent / link).exists(), link


def test_the_front_page_counts_the_methods():
    """All that come with the package, of which re-training for less long is a control."""
    from rurklib.study.report.which import CONTROL
    from rurklib.unlearn.contract import METHODS

    ours = {m for m, f in METHODS.items() if f.__module__.startswith("rurklib.")} - {CONTROL}
    text = " ".join((ROOT / "README.md").read_text().split())
    assert f"It has {len(ours)} unlearning methods, of which" in text


def test_every_fault_names_a_test_that_there_is():
    """tests/README.md: `room/file.py::name`, below tests/."""
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", (ROOT / "tests" / "README.md").read_text())
    assert len(named) > 40
    for file, name in named:
        path = ROOT / "tests" / file
        assert path.exists(), file
        assert f"def {name}(" in path.read_text(), f"{file}::{name}"
