"""What cells of a sweep came to, beside the paper's tables: worked out by hand."""

import pandas as pd

from rurklib.study.report.ablations import beside_table_c4, beside_table_c5, terms_table


def rows(group: str, cells: dict[str, dict], seeds=(0, 1)) -> pd.DataFrame:
    """RURK at retain 96 and 100 (mean 98, sd 2.83), by seed on either side of Re-train's 98."""
    found = []
    for cell, parameters in cells.items():
        for method, seed, retain in (
            ("RURK", 0, 96.0), ("RURK", 1, 100.0), ("Original", 0, 100.0), ("Original", 1, 100.0),
            ("Re-train", 0, 97.0), ("Re-train", 1, 99.0),
        ):  # fmt: skip
            own = {f"{k}_accuracy": retain for k in ("retain", "unlearn", "test")}
            found.append(
                {"group": group, "cell": cell, "method": method, "seed": seed, **parameters, **own,
                 "mia": retain, "average_gap": abs(retain - 98), "ratio_of_means": retain / 100}
            )  # fmt: skip
    table = pd.DataFrame(found)
    return table[table.seed.isin(seeds)].reset_index(drop=True)


PAPER = pd.DataFrame(
    {"group": ["other", "tau"], "value": ["x", "0.01"], "average_gap": [9.0, 5.333]}
)


def test_ours_stand_beside_the_papers_row_at_the_same_place():
    """Fails if a gap of means is the mean of gaps, or a value of ours beyond the paper's has a row
    of the paper's."""
    frame = rows("tau", {"c": {"tau": 0.3}, "d": {"tau": 0.6}})
    first, second = beside_table_c4(frame, PAPER, {"tau": "tau"}, "RURK").to_dict("records")
    assert first["retain"] == first["mia"] == "98.00 ± 2.83"
    assert (first["average gap"], first["gap of means"]) == ("2.00 ± 0.00", "0.00")
    assert first["ratio at the largest tau"] == "0.980 ± 0.028"
    assert (first["value"], first["paper: value"], first["paper: average gap"]) == (
        0.3, "0.01", "5.33",
    )  # fmt: skip
    assert (second["value"], second["paper: value"], second["paper: average gap"]) == (0.6, "", "")


def test_one_seed_has_no_deviation():
    frame = rows("tau", {"c": {"tau": 0.3}}, seeds=(0,))
    (row,) = beside_table_c4(frame, PAPER, {"tau": "tau"}, "RURK").to_dict("records")
    assert row["retain"] == "96.00"


def test_another_net_counts_each_model_once():
    """Fails if the references of a second cell, made other here, or Original's second row of a
    seed are in the means."""
    frame = rows("vgg", {"c": {}, "d": {}})
    again = (frame.cell == "d") & (frame.method != "RURK")
    frame.loc[again, ["retain_accuracy", "test_accuracy", "mia"]] = 0.0
    frame = frame[(frame.cell == "d") | (frame.method != "RURK")]
    numbers = {"retain": 99.0, "unlearn": 7.0, "test": 92.7, "mia": 22.0, "average_gap": 4.25}
    paper = pd.DataFrame([{"method": m, **numbers} for m in ("Original", "Re-train", "RURK")])
    table = beside_table_c5(frame, paper).set_index("method")
    assert list(table.retain) == ["100.00 ± 0.00", "98.00 ± 1.41", "98.00 ± 2.83"]
    assert list(table["gap of means"]) == ["2.00", "0.00", "0.00"]
    assert table["paper: average gap"]["RURK"] == "4.25"
    assert list(table)[:6] == ["retain", "unlearn", "test", "mia", "average gap", "gap of means"]


def test_terms_are_told_with_the_seeds_that_are_left():
    """Fails if groups share rows, or a seed that diverged is counted."""
    frame = pd.concat(
        [rows("mode", {"c": {"batchnorm": "frozen", "clip": 1.0}}),
         rows("mode", {"d": {"batchnorm": "train", "clip": 1.0}}, seeds=(1,)),
         rows("tau", {"e": {"batchnorm": "frozen", "clip": 1.0}})],
        ignore_index=True,
    )  # fmt: skip
    asked = {"mode": ["batchnorm", "clip"], "not swept": ["tau"]}
    table = terms_table(frame, asked, "RURK")
    assert list(table.value) == ["batchnorm frozen, clip 1.0", "batchnorm train, clip 1.0"]
    assert list(table.seeds) == [2, 1]
    assert list(table.ratio_of_means) == ["0.980 ± 0.028", "1.000"]
    assert list(terms_table(frame, {"not swept": ["tau"]}, "RURK")) == list(table)
