"""Attack tables of several scenarios in one: each cell's numbers, worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from rurklib.checks import InputError
from rurklib.metrics.membership import membership
from rurklib.residual.placement import placement
from rurklib.study.stages.attack_tables import (
    FORGET,
    HELD_OUT,
    compare_runs,
    majority,
    placement_table,
    read_tables,
    share_outside,
)

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


def made(rng, lift, shape=(), hardness=None):
    """A model's numbers: samples of different hardness, forget ones lifted."""
    return {
        "a": {
            FORGET: hardness[0] + lift + 0.1 * rng.normal(size=(*shape, 40)),
            HELD_OUT: hardness[1] + 0.1 * rng.normal(size=(*shape, 50)),
        }
    }


def test_the_table_finds_what_is_planted_and_calibration_sharpens_it():
    """A lift of 0.3 on hardnesses of spread 2 is little by itself and plain after calibration."""
    rng = np.random.default_rng(0)
    hardness = 2 * rng.normal(size=40), 2 * rng.normal(size=50)
    references = {f"r{k}": made(rng, 0.0, hardness=hardness) for k in range(6)}
    models = {"known": made(rng, 0.3, hardness=hardness), "none": made(rng, 0, hardness=hardness)}
    rows = placement_table(models, references).set_index(["model", "statistic"])
    assert len(rows) == 10
    assert rows.value["known", "calibrated auc"] > 0.97
    assert abs(rows.value["known", "auc"] - rows.reference["known", "auc"]) < 0.1
    assert rows.finding["known", "calibrated auc"] == "above"
    assert rows.finding["known", "calibrated tpr"] == "above"
    assert rows.finding["known", "level"] == "above"
    assert rows.reference["known", "calibrated auc"] == pytest.approx(0.5, abs=0.05)
    assert (rows.finding["none"][["level", "calibrated auc"]] == "inside").all()
    level = rows.loc[("known", "level")]
    assert level.value == pytest.approx(models["known"]["a"][FORGET].mean())
    assert level.reference == pytest.approx(
        np.mean([r["a"][FORGET].mean() for r in references.values()])
    )


def test_a_reference_is_left_out_of_its_own_calibration():
    """Two references besides it: their calibrated numbers by hand."""
    rng = np.random.default_rng(2)
    hardness = rng.normal(size=40), rng.normal(size=50)
    references = {f"r{k}": made(rng, 0.05 * k, hardness=hardness) for k in range(3)}
    rows = placement_table({"m": made(rng, 0, hardness=hardness)}, references)
    row = rows[rows.statistic == "calibrated auc"].iloc[0]
    numbers = [r["a"] for r in references.values()]
    wanted = []
    for k in range(3):
        rest = [n for j, n in enumerate(numbers) if j != k]
        sides = [numbers[k][p] - np.mean([n[p] for n in rest], 0) for p in (FORGET, HELD_OUT)]
        wanted.append(membership(*sides).auc)
    assert row.reference == pytest.approx(np.mean(wanted))
    low, high = placement(row.value, wanted, left_out=True)[2:4]
    assert (row.predict_low, row.predict_high) == pytest.approx((low, high))


def test_several_targets_are_compared_about_the_same_one():
    """References' numbers are [targets, n]; model m is about target 1."""
    rng = np.random.default_rng(3)
    hardness = np.zeros(40), np.zeros(50)
    references = {f"r{k}": made(rng, 0.0, shape=(2,), hardness=hardness) for k in range(4)}
    for r in references.values():
        r["a"][FORGET][1] += 5
    models = {"m": made(rng, 5.0, hardness=hardness)}
    first = placement_table(models, references, targets={"m": 0})
    second = placement_table(models, references, targets={"m": 1})
    assert first.finding[first.statistic == "level"].iloc[0] == "above"
    assert second.finding[second.statistic == "level"].iloc[0] == "inside"


def test_an_attack_without_controls_has_a_level_alone():
    references = {f"r{k}": {"a": {FORGET: np.array([float(k)])}} for k in range(4)}
    rows = placement_table({"m": {"a": {FORGET: np.array([1.5])}}}, references)
    assert list(rows.statistic) == ["level"]
    with pytest.raises(InputError, match="two or more"):
        placement_table({}, dict(list(references.items())[:1]))
