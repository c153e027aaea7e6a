"""Scores to numbers: membership, where a number stands, and the table of both."""

import numpy as np
import pytest
from scipy import stats

from rurklib.checks import InputError
from rurklib.metrics.membership import membership
from rurklib.study.stages.attack_tables import FORGET, HELD_OUT, placement_table


def test_auc_and_tpr_by_hand():
    """Others 0 ... 199: two false positives are allowed at 1 %, so a member must pass 197."""
    members = np.array([197.0, 197.5, 198.5, 250.0, -1.0])
    others = np.arange(200.0)
    found = membership(members, others)
    assert found.tpr == pytest.approx(3 / 5)
    ranks = [(m > others).mean() + (m == others).mean() / 2 for m in members]
    assert found.auc == pytest.approx(np.mean(ranks))
    assert found.auc_low < found.auc < found.auc_high
    exact = stats.binomtest(3, 5).proportion_ci(method="exact")
    assert (found.tpr_low, found.tpr_high) == pytest.approx((exact.low, exact.high))


def test_with_few_others_no_false_positive_is_allowed():
    others = np.arange(60.0)
    assert membership(np.array([59.0, 59.5]), others).tpr == 0.5
    assert membership(np.array([59.0, 59.5]), others, fpr=0.02).tpr == 1.0
    assert membership(np.array([0.0]), others, fpr=1.0).tpr == 1.0


def test_intervals_hold_their_level():
    """Members and others alike: AUC 0.5 is inside 95 of 100 intervals, give or take."""
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(300):
        found = membership(rng.normal(size=45), rng.normal(size=60))
        inside += found.auc_low <= 0.5 <= found.auc_high
    assert 0.91 <= inside / 300 <= 0.99


def test_scores_that_are_none_are_refused():
    for bad in (np.array([]), np.array([np.nan]), np.zeros((2, 2))):
        with pytest.raises(InputError, match="finite scores"):
            membership(bad, np.arange(3.0))


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
