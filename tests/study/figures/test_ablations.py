"""Ablation figures show the cells that they are given."""

import pandas as pd
import pytest

from rurklib.study.figures.ablations import (
    ablation_panels,
    choices_figure,
    costs_figure,
    norms_figure,
    pareto,
    requests_figure,
)
from rurklib.study.figures.style import style

CHOICES = {"tau": ("tau_in", "training tau"), "net": ("model", "net")}


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
    figure = ablation_panels(frame(), CHOICES, title="t")
    first, second = figure.axes[:2]
    assert marks(first, "RURK") == pytest.approx([1.01, 0.91])
    assert marks(second, "Original") == pytest.approx([1.2, 1.2])
    assert [t.get_text() for t in first.get_xticklabels()] == ["0", "0.1"]
    assert first.get_title("left") == "training tau"


def test_costs_are_where_they_are():
    (axis,) = pareto(frame(), title="t", groups={"tau": "training tau"}).axes
    (line,) = [line for line in axis.get_lines() if line.get_label() == "training tau"]
    assert sorted(set(zip(line.get_xdata(), line.get_ydata(), strict=True))) == [(98, -1), (99, 0)]


def test_what_moves_most_is_told_first():
    """Fails if another group's rows, or Original's, are in the means."""
    rows = frame().assign(finding="none detected")
    rows.loc[rows.method == "Original", "finding"] = "residual knowledge"
    rows.loc[(rows.model == "wide") & (rows.method == "RURK"), "ratio_of_means"] -= 0.2
    rows.loc[(rows.model == "wide") & (rows.seed == 1), "finding"] = "over-forgotten"
    figure, shown, alt = choices_figure(rows, CHOICES, "RURK")
    assert figure.get_suptitle() == (
        "RURK's mean ratio moves most with net (by 0.30), least with training tau (0.10);\n"
        "nothing is detected in 7 of 8 cells"
    )
    assert alt.endswith("Range of the means over values: net 0.30, training tau 0.10.")
    assert len(shown) == 16
    _, shown, alt = choices_figure(rows, {"tau": CHOICES["tau"]}, "RURK")
    assert set(shown.group) == {"tau"}
    assert "net" not in alt


def test_requests_in_which_original_is_found_are_counted():
    """Fails if a method's verdicts are counted, or groups change their places."""
    rows = frame().assign(finding="residual knowledge", margin_difference=1.0)
    rows = rows.assign(margin_predict_low=-1.0, margin_predict_high=1.0)
    rows.loc[(rows.model == "wide") & (rows.method == "Original"), "finding"] = "none detected"
    figure, _, alt = requests_figure(rows, CHOICES, "RURK")
    assert figure.get_suptitle().splitlines()[1] == "tau 4 of 4, net 2 of 4"
    assert "residual knowledge in: net 2 of 4, training tau 4 of 4." in alt


def test_every_ball_is_told_with_the_one_that_it_was_measured_in():
    rows = frame()[lambda f: f.group == "net"].rename(columns={"model": "perturbation"})
    rows = pd.concat([rows.assign(law="small"), rows.assign(law="wide")], ignore_index=True)
    rows.loc[(rows.law == "wide") & (rows.method == "RURK"), "ratio_of_means"] += 0.05
    figure, shown, alt = norms_figure(rows, {"small": "L1", "wide": "L2"}, "RURK")
    assert "its ratio is 0.910 to 1.060 in all" in figure.get_suptitle()
    assert alt.endswith("L1 on L1 1.010; L1 on L2 1.060; L2 on L1 0.910; L2 on L2 0.960")
    assert list(shown.group) == list(rows.law)


def test_the_best_is_sought_among_cells_that_are_like_retrained_models():
    """Fails if Original's or a far cell's accuracy is told, or nothing is told as nan."""
    rows = frame()[lambda f: f.group == "tau"].assign(cell="c", retain_accuracy=100.0)
    rows.loc[rows.test_accuracy == 99, "margin_sd"] = -3.0
    again = rows[rows.method == "Original"].assign(method="Re-train")
    rows = pd.concat([rows, again], ignore_index=True)
    figure, shown, alt = costs_figure(rows, {"tau": "training tau"}, "RURK")
    assert figure.get_suptitle() == (
        "Within two sd of re-trained models at the largest tau: 2 of 4 cells;\n"
        "the best has test accuracy 98.0 %, re-trained models 98.0 to 99.0 %"
    )
    assert alt.endswith("2 of 4 cells lie within two sd, the best at 98.0 %.")
    assert len(shown) == len(rows)
    figure, _, alt = costs_figure(rows.assign(margin_sd=5.0), {"tau": "training tau"}, "RURK")
    assert figure.get_suptitle().endswith("re-trained models have test accuracy 98.0 to 99.0 %")
    assert alt.endswith("0 of 4 cells lie within two sd.")
