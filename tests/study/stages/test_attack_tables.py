"""Attack tables of several scenarios in one: each cell's numbers, worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from rurklib.checks import InputError
from rurklib.study.stages.attack_tables import compare_runs, majority, read_tables, share_outside

COLUMNS = ["scenario", "attack", "statistic", "method", "seed", "value", "reference",
           "predict_low", "predict_high", "t", "finding"]  # fmt: skip


def table(*rows, scenario="digits"):
    return pd.DataFrame([(scenario, *r) for r in rows], columns=COLUMNS)


DIGITS = table(
    ("noise", "level", "RURK", 0, 1.0, 3.0, 2.0, 4.0, -4.0, "below"),
    ("noise", "level", "RURK", 1, 2.0, 3.0, 2.0, 4.0, -2.0, "inside"),
    ("noise", "level", "RURK", 2, 6.0, 3.0, 2.0, 4.0, 6.0, "above"),
    ("mapping", "level", "RURK", 0, 5.0, 3.0, 2.0, 4.0, 4.0, "above"),
    ("mapping", "level", "RURK", 1, 7.0, 5.0, 4.0, 6.0, 4.0, "above"),
    ("mapping", "level", "RURK", 2, 1.0, np.nan, np.nan, np.nan, np.nan, ""),
)
CIFAR = table(("noise", "level", "GD", 0, 1.0, 1.0, 0.0, 2.0, 0.0, "inside"), scenario="cifar5")


def test_a_cell_is_a_method_over_its_seeds():
    """Fails if seeds are counted where nothing is known, or scenarios are thrown together."""
    cells = compare_runs({"digits": DIGITS, "cifar5": CIFAR})
    assert cells.scenario.tolist() == ["digits", "digits", "cifar5"]
    noise, mapping, other = (row for _, row in cells.iterrows())
    assert (noise.seeds, noise.value, noise.least, noise.most) == (3, 3.0, 1.0, 6.0)
    assert (noise.above, noise.below, noise.known, noise.t) == (1, 1, 3, 0.0)
    assert (mapping.reference, mapping.predict_low, mapping.predict_high) == (4.0, 3.0, 5.0)
    assert (mapping.above, mapping.below, mapping.known) == (2, 0, 2)
    assert (other.method, other.known) == ("GD", 1)
    assert majority(cells).tolist() == ["inside", "above", "inside"]


def test_shares_outside_are_of_what_is_known():
    shares = share_outside(compare_runs({"digits": DIGITS, "cifar5": CIFAR})).set_index("scenario")
    assert shares.loc["digits", ["attacks", "above", "below"]].tolist() == [2, 3 / 5, 1 / 5]
    assert shares.loc["cifar5", ["attacks", "above", "below"]].tolist() == [1, 0, 0]


def test_most_seeds_are_of_those_that_something_is_known_of():
    """One seed above and two of which nothing is known: above."""
    frame = DIGITS[:3].assign(finding=["above", "", ""])
    assert majority(compare_runs({"digits": frame})).tolist() == ["above"]
    frame = DIGITS[:3].assign(finding=["above", "inside", ""])
    assert majority(compare_runs({"digits": frame})).tolist() == ["inside"]


def test_cells_of_which_nothing_is_known_say_nothing():
    frame = DIGITS.assign(finding="")
    assert majority(compare_runs({"digits": frame})).tolist() == ["", ""]
    assert share_outside(compare_runs({"digits": frame})).empty


def test_tables_are_read_by_scenario_and_folders_without_one_are_named(tmp_path):
    for name, frame in (("a", DIGITS), ("b", CIFAR), ("c", DIGITS)):
        (tmp_path / name).mkdir()
        frame.to_csv(tmp_path / name / "attacks.csv", index=False)
    found, missing = read_tables([tmp_path / n for n in ("a", "b", "none", "c")])
    assert list(found) == ["digits", "cifar5", "c"]  # the name was taken
    assert missing == [tmp_path / "none"]
    assert compare_runs(found).scenario.unique().tolist() == ["digits", "cifar5", "c"]


def test_what_is_no_table_is_refused(tmp_path):
    CIFAR.drop(columns="t").to_csv(tmp_path / "attacks.csv", index=False)
    with pytest.raises(InputError, match="no column 't'"):
        read_tables([tmp_path])
    CIFAR[:0].to_csv(tmp_path / "attacks.csv", index=False)
    with pytest.raises(InputError, match="no row"):
        read_tables([tmp_path])
    with pytest.raises(InputError, match="no tables"):
        compare_runs({})
