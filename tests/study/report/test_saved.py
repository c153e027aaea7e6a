"""Figures are saved into a run or into a folder of one's own."""

import json
from types import SimpleNamespace

import pandas as pd
import pytest

from rurklib.study.figures.style import canvas
from rurklib.study.report.saved import save_figure, saved_figures, shown


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_folder_or_a_run(tmp_path, wrapped):
    run = SimpleNamespace(folder=tmp_path) if wrapped else tmp_path
    figure, _ = canvas()
    shown = save_figure(run, figure, "00_a", data=pd.DataFrame({"a": [1]}), alt="an empty frame")
    ((path, said),) = saved_figures(run)
    assert path == tmp_path / "figures" / "00_a.png"
    assert said == "an empty frame" == json.loads(path.with_suffix(".json").read_text())["alt"]
    assert path.read_bytes() == shown.data
    assert pd.read_csv(path.with_suffix(".csv")).a.tolist() == [1]


def test_a_table_is_shown_without_its_index_and_to_so_many_decimals():
    page = shown(pd.DataFrame({"method": ["GD"], "ratio": [1.23456]}), precision=2).to_html()
    assert ">1.23<" in page
    assert ">GD<" in page
    assert "row_heading" not in page
