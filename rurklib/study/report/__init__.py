"""TODO study.report"""

from rurklib.study.report.page import Block, Gallery, Heading, Picture, Table, Text, write_page
from rurklib.study.report.saved import save_figure, saved_figures
from rurklib.study.report.tables import (
    beside_curves,
    beside_table,
    beside_text,
    findings_table,
    results_table,
    share_within,
)

__all__ = [
    "Block",
    "Gallery",
    "Heading",
    "Picture",
    "Table",
    "Text",
    "beside_curves",
    "beside_table",
    "beside_text",
    "findings_table",
    "results_table",
    "save_figure",
    "saved_figures",
    "share_within",
    "write_page",
]
