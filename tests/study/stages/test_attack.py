"""A small finished run under attack: files, what is asked again, and tables worked out by hand."""

import math
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from rurklib import attacks, study
from rurklib.checks import InputError
from rurklib.metrics.lira import membership
from rurklib.metrics.relearn import few_shots
from rurklib.study import books
from rurklib.study.attack import (
    FORGET,
    HELD_OUT,
    compare_runs,
    majority,
    placement,
    placement_table,
    read_tables,
    share_outside,
)
from rurklib.study.measurement import by_p
from rurklib.study.run import open_existing, open_run
from rurklib.tensors import as_float, logit_margin

FEW = {"draws": 2, "steps": 3, "shots": 4, "most": 12}


@pytest.fixture(scope="module")
def attacked(run):
    return study.attacked(run, ["Original", "RURK", "Noise-brittle"], **FEW)


def test_every_model_has_every_attack_on_every_part(run, attacked):
    models, references = attacked
    assert list(models) == [("Original", 0), ("RURK", 0), ("Noise-brittle", 0)]
    assert len(references) == 3
    sizes = {name: len(y) for name, (_, y) in study.class_parts(run, FEW["most"]).items()}
    assert sizes == dict.fromkeys(("forget set", "held out", "retained"), 12)
    for numbers in (*models.values(), *references.values()):
        assert list(numbers) == [*attacks.ATTACKS]
        for found in numbers.values():
            assert {p: v.shape[-1] for p, v in found.items()} == sizes
            assert all(np.isfinite(v).all() for v in found.values())
    original = models[("Original", 0)]
    assert np.allclose(original["mapping (UMA)"]["forget set"], -np.log(1e-6))  # its own answers


def test_numbers_are_those_of_the_parts_in_their_order(run, attacked):
    """Fails if parts are swapped, or another model is loaded."""
    for name, part in (("RURK", "held out"), ("Original", "forget set")):
        model = study.load_models(run, [(name, 0)])[name, 0]
        x, y = study.class_parts(run, FEW["most"])[part]
        with torch.no_grad():
            own = logit_margin(model(as_float(x)), y)
        found = attacked[0][(name, 0)]["confidence (LiRA)"][part]
        assert np.allclose(found, own.numpy())


def test_the_few_shot_attack_trains_the_model_itself(run, attacked):
    """Fails if it is given the folded net that other attacks ask: it has no BatchNorm to train."""
    model = study.load_models(run, [("RURK", 0)])["RURK", 0]
    pair = study.class_parts(run, FEW["most"])["forget set"]
    curve = few_shots(model, study.validation_of_class(run, FEW["shots"]), pair)
    found = attacked[0][("RURK", 0)]["few shots"]["forget set"]
    assert np.allclose(found, curve[-1].numpy(), atol=1e-5)
    assert not np.allclose(found, curve[0].numpy(), atol=0.1)


def test_the_table_is_written_with_scenario_method_and_seed(run, attacked):
    frame = study.attack_table(run, *attacked)
    assert list(frame.columns[:5]) == ["scenario", "attack", "statistic", "method", "seed"]
    assert set(frame.scenario) == {"digits"}
    assert set(frame.method) == {"Original", "RURK", "Noise-brittle"}
    kept = pd.read_csv(run.folder / "attacks.csv")
    assert len(kept) == len(frame) == 3 * 5 * len(attacks.ATTACKS)


def test_finished_models_are_read_and_other_settings_asked_anew(run, attacked, monkeypatch, capsys):
    def never(*_):
        raise AssertionError("asked again")

    monkeypatch.setattr("rurklib.study.attack._attack_one", never)
    study.attacked(run, ["Original", "RURK", "Noise-brittle"], **FEW)
    assert "6 of 6 models are attacked already" in capsys.readouterr().out
    study.attacked(run, ["Original"], **FEW, share=0.2, seed=0)  # the defaults
    with pytest.raises(AssertionError, match="asked again"):
        study.attacked(run, ["Original"], **(FEW | {"steps": 6}))


@pytest.mark.slow
def test_the_notebook_runs_on_a_finished_run(run, attacked, tmp_path):
    """With tiny parameters: all figures, and a table of two scenarios."""
    folder = tmp_path / "digits"
    shutil.copytree(run.folder, folder)
    other = tmp_path / "cifar5"
    other.mkdir()
    table = study.attack_table(open_existing(folder), *attacked)
    table.assign(scenario="cifar5").to_csv(other / "attacks.csv", index=False)
    given = {"methods": ["RURK"], **FEW, "others": [str(other), str(tmp_path / "none")]}
    book = books.read(books.folder() / "07_adaptive_attacks.ipynb")
    books.execute(book, tmp_path / "07.ipynb", {"out": str(folder), **given})
    drawn = sorted(p.stem for p in (folder / "figures").glob("07_*.png"))
    assert drawn == ["07_attacks", "07_cheats", "07_distance", "07_mapping", "07_membership",
                     "07_outside", "07_relearn", "07_scenarios"]  # fmt: skip
    joined = pd.read_csv(folder / "figures" / "07_scenarios.csv")
    assert joined.scenario.unique().tolist() == ["digits", "cifar5"]


def test_two_references_are_refused_before_anything_is_attacked(tmp_path):
    two = open_run("digits", tmp_path / "two", seeds=[0], settings={"references": 2})
    with pytest.raises(InputError, match="two can't show how much a third may differ"):
        study.attacked(two)
    assert not (tmp_path / "two" / "attacks").exists()


def test_parts_may_be_cut_and_the_validation_part_is_in_none_of_them(run, monkeypatch):
    """Cut to some samples, the same each time; an attack is given no others."""
    whole, cut = study.class_parts(run), study.class_parts(run, 5)
    x, y = study.validation_of_class(run, 5)
    assert y.tolist() == [9] * 5
    reported = torch.cat([pair[0] for pair in whole.values()])
    assert not any(bool((reported == one).flatten(1).all(1).any()) for one in x)
    given = {}

    def attack(model, parts, setting):
        given.update(parts)
        return {"none": {"forget set": np.zeros(1)}}

    monkeypatch.setattr("rurklib.study.attack.attack", attack)
    study.attacked(run, ["Original"], **(FEW | {"most": 5}))
    for name, (x, y) in cut.items():
        assert y.tolist() == [9] * 5
        assert torch.equal(given[name][0], x)
        assert all(bool((whole[name][0] == one).flatten(1).all(1).any()) for one in x)


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


@pytest.mark.parametrize("k", [3, 6])
@pytest.mark.parametrize("left_out", [False, True])
def test_a_placement_has_five_false_alarms_in_a_hundred(k, left_out):
    """Each as it is, or less the mean of the others. Fails if those are spread out once more (2.3
    and 2.7 %), or by a normal quantile."""
    draws = np.random.default_rng(k).normal(3.0, 2.0, (3000, k + 1))
    own, others = draws[:, 0], draws[:, 1:]
    if left_out:
        own = own - others.mean(1)
        others = others - (others.sum(1, keepdims=True) - others) / (k - 1)
    placed = [placement(v, n, left_out=left_out) for v, n in zip(own, others, strict=True)]
    outside = np.mean([p.finding != "inside" for p in placed])
    assert outside == pytest.approx(0.05, abs=0.012)
    for p in placed[:50]:
        sides = p.value > p.predict_high, p.value < p.predict_low
        assert sides == (p.finding == "above", p.finding == "below")
        assert abs(p.t) == pytest.approx(stats.t.isf(p.p / 2, k - 1))


@pytest.mark.parametrize(
    ("value", "references"),
    [(1, [1, 2]), (math.nan, [1, 2, 3]), (1, [1, math.nan, 2]), (1, [1] * 3), (9, [1 / 3] * 6)],
)
def test_where_nothing_can_be_said_nothing_is(value, references):
    found = placement(value, references)
    assert found.finding == by_p(value - found.reference, found.p) == ""
    assert math.isnan(found.p)
