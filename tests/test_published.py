"""The published results: the tables of the pages are made from their CSVs."""

from pathlib import Path

import pytest

FIGURES = Path(__file__).parent.parent / "figures"
PAGES = sorted(FIGURES.rglob("README.md"))


@pytest.mark.parametrize("path", PAGES, ids=lambda p: str(p.relative_to(FIGURES)))
def test_tables_are_those_of_the_committed_results(path, monkeypatch):
    """Fails if a number in a table isn't what its CSV says, or the place of a table without a CSV
    doesn't say that it was not measured."""
    monkeypatch.syspath_prepend(FIGURES.parent / "notebooks")
    import tables

    text = path.read_text(encoding="utf-8")
    marks = list(tables.MARK.finditer(text))
    assert marks, "no table"
    assert tables.with_tables(text) == text
    for mark in marks:
        measured = (FIGURES / mark[2] / mark[3]).exists()
        assert ("not measured yet" in mark[0]) != measured, mark[0]


def test_each_figure_has_its_csv():
    pictures = {p for p in FIGURES.rglob("*.png") if p.parent.name not in ("inspector", "measures")}
    assert {p for p in pictures if not p.with_suffix(".csv").exists()} == set()
