"""What tables of attacks say in words, from cells that were worked out by hand."""

from types import SimpleNamespace

import pandas as pd
import pytest

from rurklib.study.stages import attack_reading as reading
from rurklib.study.stages.attack_tables import compare_runs

AUC = "calibrated auc"


def table(findings, value=1.0):
    """A row for each seed, its finding given as {(attack, statistic, method): findings}."""
    rows = [
        {"attack": a, "statistic": s, "method": m, "seed": seed, "finding": finding, "t": 0.0,
         "value": value + seed, "low": 0.1, "high": 0.9, "reference": 0.5, "predict_low": 0.25,
         "predict_high": 0.75, "p": 0.01}
        for (a, s, m), its in findings.items()
        for seed, finding in enumerate(its)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_outside_is_what_most_seeds_say_and_inside_what_all_do():
    """Fails if one seed of three is enough to be outside, seeds of both sides are added up, an
    attack of which nothing is known counts, or the halves are mixed up."""
    found = {
        ("noise", "level", "GD"): ["above", "above", "inside"],
        ("turns", "level", "GD"): ["below", "below", "below"],
        ("shifts", "level", "GD"): ["above", "inside", "inside"],
        ("PGD", "level", "GD"): ["above", "below", "inside"],
        ("few", "level", "GD"): ["inside"] * 3,
        ("none", "level", "GD"): [""] * 3,
        ("noise", AUC, "GD"): ["inside", "above", "above"],
    }
    assert reading.outside(compare_runs({"digits": table(found)}), ["GD"]).splitlines() == [
        "GD, on the forget set, of 5 attacks:",
        "  outside in most seeds under 2: noise (above), turns (below)",
        "  inside in every seed under 1: few",
        "GD, forget against held-out, of 1 attacks:",
        "  outside in most seeds under 1: noise (above)",
        "  inside in every seed under 0: none",
    ]


def test_members_are_told_by_the_attack_that_is_best_on_average():
    """Fails if the best is chosen by one seed, or by another statistic."""
    lucky = {("lucky", AUC, "GD"): ["inside", "above"], ("high", "level", "GD"): ["above"] * 2}
    rows = table(lucky).assign(value=[0.9, 0.2, 9.0, 9.0])
    rows = pd.concat([rows, table({("best", AUC, "GD"): ["above"] * 2}, value=0.6).assign(p=0.5)])
    rows.loc[rows.attack == "best", "value"] = [0.6, 0.7]
    assert reading.members(rows, ["GD"]).splitlines() == [
        f"  GD, seed {seed}, best: AUC {auc} (0.10 to 0.90); a further re-trained model 0.25 to "
        "0.75, p 0.5"
        for seed, auc in ((0, "0.60"), (1, "0.70"))
    ]


def test_levels_are_means_over_seeds_beside_the_last_methods_limits():
    named = [(a, "level", m) for a in reading.TOLD for m in ("Original", "GD")]
    rows = table({key: ["inside"] * 2 for key in named})
    rows.loc[rows.method == "Original", ["value", "predict_low"]] = 7.0, 0.0
    first, *others = reading.levels(compare_runs({"d": rows}), ["Original", "GD"]).splitlines()
    assert first == "  noise (margin): Original 7.00, GD 1.50; 0.25 to 0.75"
    assert len(others) == 3


def test_everywhere_is_where_all_runs_say_the_same():
    """Fails if one run is enough, or an attack that one run lacks counts."""
    here = {("noise", "level", "GD"): ["above"], ("turns", "level", "GD"): ["below"],
            ("few", "level", "GD"): ["inside"], ("UMA", "level", "GD"): ["above"]}  # fmt: skip
    there = {**here, ("turns", "level", "GD"): ["inside"]}
    del there["UMA", "level", "GD"]
    cells = compare_runs({"digits": table(here), "iris": table(there, value=20.0)})
    assert reading.everywhere(cells, ["GD"]).splitlines()[:4] == [
        "GD, on the forget set, in all 2 scenarios (most seeds):",
        "  above under 1: noise", "  below under 0: none", "  inside under 1: few",
    ]  # fmt: skip
    beside = reading.side_by_side(cells, ["GD"])
    assert list(beside.columns) == [("digits", "GD"), ("iris", "GD")]
    assert beside.loc["noise"].tolist() == ["1 [0.25, 0.75]", "20 [0.25, 0.75]"]
    assert beside.loc["UMA"].tolist() == ["1 [0.25, 0.75]", ""]


def measured(p: dict, controls=()):
    """As much of a measurement as is read: p of the verdict and at each tau, by model."""
    rows = {name: pd.DataFrame({"p_value": its[1:]}) for name, its in p.items()}
    return SimpleNamespace(
        models=tuple(p), rows=rows.get, judge=lambda name: SimpleNamespace(p=p[name][0]),
        control_results=dict(controls),
    )  # fmt: skip


def test_a_cheat_is_caught_by_what_finds_it_in_every_seed():
    """Fails if the smallest tau is asked, an attack's row of another method counts, or one seed of
    two is enough."""
    cheat = {("Damped", 0): (0.01, 0.9, 0.01), ("Damped", 1): (0.5, 0.001, 0.01)}
    held_out = measured(dict.fromkeys(cheat, (0.9, 0.9)))
    attacks = table({("noise", "level", "Damped"): ["above", "below"],
                     ("noise", "auc", "Damped"): ["above"] * 2,
                     ("turns", "level", "GD"): ["above"] * 2})  # fmt: skip
    found = reading.catches(measured(cheat, {"held out": held_out}), attacks)
    assert found.groupby("question", sort=False).caught.apply(list).to_dict() == {
        "ratio at the largest tau": [True, True],
        "verdict": [True, False],
        "verdict on held out samples": [False, False],
        "noise, on the forget set": [True, True],
    }
    assert reading.caught(found, ["Damped"]).splitlines() == [
        "Damped: caught in every seed by 2 of 4: ratio at the largest tau; noise, on the forget "
        "set",
        "  in no seed by 1 of them, 1 in some",
    ]
    with pytest.raises(KeyError):
        reading.caught(found, ["GD"])
