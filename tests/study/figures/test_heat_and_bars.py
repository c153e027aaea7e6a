"""Figures of attacks: what is written on them, and where marks stand."""

import numpy as np
import pandas as pd

from rurklib.study.figures.heat_and_bars import (
    attack_heat,
    outside_bars,
    sample_histogram,
)
from rurklib.study.figures.style import png
from rurklib.study.stages.attack_tables import compare_runs, share_outside


def rows():
    found = []
    for attack in ("noise", "distance"):
        for method, t, finding in (("Original", 5.0, "above"), ("RURK", -3.0, "below")):
            for seed in (0, 1):
                one = {"attack": attack, "method": method, "seed": seed, "t": t}
                one["finding"] = finding if attack == "noise" else "inside"
                one |= {"value": 0.9 - 0.1 * seed, "low": 0.7, "high": 1.0, "reference": 0.5}
                one |= {"predict_low": 0.3, "predict_high": 0.7}
                found += [one | {"statistic": s} for s in ("level", "auc")]
    return pd.DataFrame(found)


def cells(frame, **named):
    return compare_runs({"digits": frame, **named})


def test_the_heat_table_has_a_cell_each_with_its_count():
    frame = rows()
    frame.loc[(frame.method == "RURK") & (frame.seed == 1), "finding"] = "above"
    figure = attack_heat(cells(frame), "statistic", {"level": "left", "auc": "right"}, title="t")
    left, right = figure.axes[:2]
    assert [a.get_title(loc="left") for a in (left, right)] == ["left", "right"]
    written = {tuple(map(int, t.get_position())): t.get_text() for t in left.texts}
    assert written == {(0, 0): "+2", (1, 0): "+1/−1", (0, 1): "", (1, 1): "+1"}
    image = left.images[0].get_array()
    assert image[0, 0] == 5
    assert image[0, 1] == -3
    assert image[1, 0] == 0  # none outside
    assert not np.ma.getmaskarray(image).any()
    assert left.images[0].cmap(0.95)[0] > left.images[0].cmap(0.95)[2]  # above: warm
    assert left.images[0].cmap(0.05)[0] < left.images[0].cmap(0.05)[2]  # below: cold
    assert png(figure, "alt")


def test_stacked_panels_have_scenarios_below_each_other_and_attacks_across():
    """Where they would be too wide. Fails if rows and columns are confused, or a scenario's cells
    go to another's panel."""
    other = rows()
    other.loc[other.method == "RURK", ["t", "finding"]] = [6.0, "above"]
    other = other[other.attack == "noise"]
    more = [rows().query("method == 'RURK'").assign(method=f"M{k}") for k in range(9)]
    level = cells(pd.concat([rows(), *more]), cifar5=other).query("statistic == 'level'")
    titles = {"digits": "first", "cifar5": "second"}
    figure = attack_heat(level, "scenario", titles, title="t")
    top, bottom = figure.axes[:2]
    assert top.get_position().y0 > bottom.get_position().y0
    assert [t.get_text() for t in top.get_yticklabels()][:2] == ["Original", "RURK"]
    assert [t.get_text() for t in bottom.get_xticklabels()] == ["noise", "distance"]
    assert top.images[0].get_array()[:, 0].tolist() == [5, *[-3] * 10]
    below = bottom.images[0].get_array()
    assert below[:2, 0].tolist() == [5, 6]
    assert np.ma.getmaskarray(below)[:, 1].all()  # not tried there
    written = {tuple(map(int, t.get_position())): t.get_text() for t in bottom.texts}
    assert written == {(0, 0): "+2", (0, 1): "+2"}


def test_cells_of_which_nothing_is_known_are_blank():
    frame = rows()
    frame.loc[frame.attack == "distance", ["t", "finding"]] = [np.nan, ""]
    axis = attack_heat(cells(frame), "statistic", {"level": "left"}, title="t").axes[0]
    assert np.ma.getmaskarray(axis.images[0].get_array())[1].all()


def test_bars_are_shares_to_the_right_above_and_to_the_left_below():
    figure = outside_bars(
        share_outside(cells(rows())), {"level": "on it", "auc": "against"}, title="t"
    )
    axis = figure.axes[0]
    assert axis.get_title(loc="left") == "digits: on it"
    assert "of up to 2 attacks" in "".join(a.get_xlabel() for a in figure.axes)
    ends = [[b.get_width() for b in bars] for bars in axis.containers]
    assert ends == [[50, 0], [0, -50]]  # above: Original; below: RURK, in half of what was tried
    assert [t.get_text() for t in axis.get_yticklabels()] == ["Original", "RURK"]
    assert len(figure.axes) == 2
    assert not [t for a in figure.axes for t in a.texts]
    assert png(figure, "alt")


def test_a_method_that_was_not_tried_is_not_shown_as_never_outside():
    one = share_outside(cells(rows())).assign(above=0.0, below=0.0)
    other = one[one.method != "RURK"].assign(scenario="cifar5")
    figure = outside_bars(pd.concat([one, other]), {"level": "on it"}, title="t")
    said = {a.get_title(loc="left"): [(t.get_text(), t.get_position()[1]) for t in a.texts]
            for a in figure.axes}  # fmt: skip
    assert said == {"digits: on it": [], "cifar5: on it": [("not tried", 1)]}


def test_a_histogram_counts_samples_and_leaves_out_those_without_a_ratio():
    groups = {"Original": np.array([[1.0, 1.0, 2.0, np.nan]]), "RURK": np.array([0.5, 1.0])}
    figure = sample_histogram(groups, title="t", xlabel="x")
    for axis, expected in zip(figure.axes, ({5: 2, 15: 1}, {0: 1, 5: 1}), strict=True):
        counts = {k: p.get_height() for k, p in enumerate(axis.patches) if p.get_height()}
        assert counts == expected  # of 16 bins from 0.5 to 2
    empty = sample_histogram({"Original": np.full((2, 3), np.nan)}, title="t", xlabel="x")
    assert sum(p.get_height() for p in empty.axes[0].patches) == 0
