"""What a run says to people: saved figures, tables as text, and one HTML page."""

from rurklib.study.report.saved import save_figure, saved_figures, shown
from rurklib.study.report.tables import (
    curves_table,
    findings_table,
    results_table,
    share_within,
    versus_paper,
    versus_paper_text,
)

__all__ = [
    "curves_table",
    "findings_table",
    "results_table",
    "save_figure",
    "saved_figures",
    "share_within",
    "shown",
    "versus_paper",
    "versus_paper_text",
]
