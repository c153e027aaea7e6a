"""Ablation figures show the cells that they are given."""

import pandas as pd
import pytest

from rurklib.study.figures.ablations import ablation_panels, pareto
from rurklib.study.figures.style import style


def frame() -> pd.DataFrame:
    rows = []
    for group, column, values in (
        ("tau", "tau_in", [0.0, 0.1]),
        ("net", "model", ["small", "wide"]),
    ):
        for i, value in enumerate(values):
            for seed in (0, 1):
                for method, ratio in (("Original", 1.2), ("RURK", 1.0 - 0.1 * i + 0.02 * seed)):
                    rows.append(
                        {"group": group, column: value, "seed": seed, "method": method,
                         "ratio_of_means": ratio, "null_low": 0.95, "null_high": 1.05,
                         "predict_low": 0.9, "predict_high": 1.1, "test_accuracy": 99.0 - i,
                         "margin_sd": -i}
                    )  # fmt: skip
    return pd.DataFrame(rows)


def marks(axis, method):
    return [
        float(y)
        for line in axis.get_lines()
        for y in line.get_ydata()
        if line.get_color() == style(method)["color"] and line.get_marker() != "None"
    ]


def test_each_value_has_its_mean():
    choices = {"tau": ("tau_in", "training tau"), "net": ("model", "net")}
    figure = ablation_panels(frame(), choices, title="t")
    first, second = figure.axes[:2]
    assert marks(first, "RURK") == pytest.approx([1.01, 0.91])
    assert marks(second, "Original") == pytest.approx([1.2, 1.2])
    assert [t.get_text() for t in first.get_xticklabels()] == ["0", "0.1"]
    assert first.get_title("left") == "training tau"


def test_costs_are_where_they_are():
    (axis,) = pareto(frame(), title="t", groups={"tau": "training tau"}).axes
    (line,) = [line for line in axis.get_lines() if line.get_label() == "training tau"]
    assert sorted(set(zip(line.get_xdata(), line.get_ydata(), strict=True))) == [(98, -1), (99, 0)]
