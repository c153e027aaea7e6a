"""The published results: tables are made from their CSVs, and the pages' headline numbers too."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parent.parent
FIGURES = ROOT / "figures"
PAGES = sorted(FIGURES.rglob("README.md"))
# Mean of a column over some rows, as figures/README.md or the page beside the file says it.
HEADLINES = """
1.058 | digits/verdicts.csv | ratio_of_means | method == 'Original'
0.958 | digits/verdicts.csv | predict_low | method == 'Original'
1.034 | digits/verdicts.csv | predict_high | method == 'Original'
0.929 | digits/04_controls.csv | ratio_of_means | control == 'forget set' and method == 'RURK'
0.882 | digits/04_controls.csv | ratio_of_means | control == 'held out' and method == 'RURK'
0.995 | fashion/04_controls.csv | ratio_of_means | control == 'forget set' and method == 'RURK'
0.378 | fashion/04_controls.csv | ratio_of_means | control == 'held out' and method == 'RURK'
1.119 | digits-robust/residual_knowledge.csv | ratio_of_means | tau == 0.4 and method == 'Original'
1.149 | cifar10-cpu/memory.csv | ratio | tau == 0 and method == 'Original'
"""


@pytest.fixture
def tables(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "notebooks")
    import tables

    return tables


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_tables_are_those_of_the_committed_results(path, tables):
    """Fails if a number in a table isn't what its CSV says, or the place of a table without a CSV
    doesn't say that it was not measured."""
    text = path.read_text(encoding="utf-8")
    marks = list(tables.MARK.finditer(text))
    assert marks, "no table"
    assert tables.with_tables(text) == text
    for mark in marks:
        measured = (FIGURES / mark[2] / mark[3]).exists()
        assert ("not measured yet" in mark[0]) != measured, mark[0]


def test_tables_of_all_data_are_those_of_each(tables, tmp_path, monkeypatch):
    """answers.csv, which.csv and glance.csv made anew leave no difference."""
    copied = shutil.copytree(FIGURES, tmp_path / "figures", ignore=shutil.ignore_patterns("*.png"))
    monkeypatch.setattr(tables, "FIGURES", copied)
    tables.write_answers()
    tables.write_which()
    for path in copied.rglob("*.csv"):
        assert path.read_bytes() == (FIGURES / path.relative_to(copied)).read_bytes(), path.name


def test_each_figure_has_its_csv():
    pictures = {p for p in FIGURES.rglob("*.png") if p.parent.name not in ("inspector", "measures")}
    assert {p for p in pictures if not p.with_suffix(".csv").exists()} == set()


@pytest.mark.parametrize("line", HEADLINES.strip().splitlines())
def test_a_page_says_what_was_measured(line):
    """Of controls at the largest tau."""
    mean, file, column, rows = line.split(" | ")
    table = pd.read_csv(FIGURES / file)
    table = table[table.tau == table.tau.max()] if "controls" in file else table
    assert f"{table.query(rows)[column].mean():.3f}" == mean
    pages = FIGURES / "README.md", (FIGURES / file).with_name("README.md")
    assert any(mean in page.read_text(encoding="utf-8") for page in pages)


def test_verdicts_of_digits_are_those_that_the_pages_name():
    found = pd.read_csv(FIGURES / "digits" / "verdicts.csv").groupby("method", sort=False).finding
    knows = found.agg(lambda seeds: set(seeds) == {"residual knowledge"})
    assert list(knows[knows].index) == ["Original", "GD", "CF-k", "SSD"]


def test_nothing_published_names_a_folder_of_the_machine_that_made_it():
    """Paths of data are settings, and stand in tables of sweeps: with the file's name alone."""
    pages = [p for p in FIGURES.rglob("*") if p.suffix in (".csv", ".json", ".md")]
    absolute = re.compile(r'path"*: "+(/[^"]*)|(/(?:home|root|work)/\w+)')
    for path in [*pages, *(ROOT / "notebooks").glob("*.ipynb")]:
        assert not absolute.search(path.read_text(encoding="utf-8")), path.name
