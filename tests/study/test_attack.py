"""A small finished run under attack: files, what is asked again, and tables worked out by hand."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from rurklib import attacks, study
from rurklib.metrics.lira import membership
from rurklib.metrics.relearn import few_shots
from rurklib.study import books
from rurklib.study.attack import (
    FORGET,
    HELD_OUT,
    compare_runs,
    placement,
    placement_table,
    share_outside,
)
from rurklib.study.run import open_existing
from rurklib.tensors import as_float, logit_margin

FEW = {"draws": 2, "steps": 3, "shots": 4, "most": 12}
METHODS = ["Original", "RURK", "Noise-brittle"]


@pytest.fixture(scope="module")
def attacked(run):
    return study.attacked(run, METHODS, **FEW)


def test_every_model_has_its_own_numbers_of_every_attack_on_every_part(run, attacked):
    """Fails if parts are swapped, another model is loaded, or the few-shot attack has the folded
    net, which has no BatchNorm to train."""
    models, references = attacked
    assert list(models) == [(method, 0) for method in METHODS]
    assert len(references) == 3
    sizes = dict.fromkeys(("forget set", "held out", "retained"), 12)
    for numbers in (*models.values(), *references.values()):
        assert list(numbers) == [*attacks.ATTACKS]
        for found in numbers.values():
            assert {part: v.shape[-1] for part, v in found.items()} == sizes
            assert all(np.isfinite(v).all() for v in found.values())
    original = models["Original", 0]
    assert np.allclose(original["mapping (UMA)"][FORGET], -np.log(1e-6))  # its own answers
    parts = study.class_parts(run, FEW["most"])
    for name, part in (("RURK", HELD_OUT), ("Original", FORGET)):
        model = study.load_models(run, [(name, 0)])[name, 0]
        x, y = parts[part]
        with torch.no_grad():
            margins = logit_margin(model(as_float(x)), y)
        found = models[name, 0]
        assert np.allclose(found["confidence (LiRA)"][part], margins)
        curve = few_shots(model, study.validation_of_class(run, FEW["shots"]), (x, y))
        assert np.allclose(found["few shots"][part], curve[-1], atol=1e-5)


def test_finished_models_are_read_and_other_settings_ask_anew(run, attacked, monkeypatch):
    monkeypatch.setattr("rurklib.study.attack.attack", None)
    again, _ = study.attacked(run, METHODS, **FEW)
    np.testing.assert_equal(again, attacked[0])
    with pytest.raises(TypeError, match="not callable"):
        study.attacked(run, ["Original"], **(FEW | {"steps": 6}))


def test_few_shots_are_in_no_part_and_parts_are_cut_from_the_whole(run):
    whole, cut = study.class_parts(run), study.class_parts(run, 5)
    few = study.validation_of_class(run, 5)
    samples = {name: {one.numpy().tobytes() for one in x} for name, (x, _) in whole.items()}
    assert not set().union(*samples.values()) & {one.numpy().tobytes() for one in few[0]}
    assert all(
        {one.numpy().tobytes() for one in x} <= samples[name] for name, (x, _) in cut.items()
    )
    assert [y.tolist() for _, y in (few, *cut.values())] == [[9] * 5] * 4


@pytest.mark.slow
def test_the_notebook_runs_on_a_finished_run(run, attacked, tmp_path):
    """With tiny parameters: the table, all figures, and a table of two scenarios."""
    folder, other = tmp_path / "digits", tmp_path / "cifar5"
    shutil.copytree(run.folder, folder)
    table = study.attack_table(open_existing(folder), *attacked)
    assert list(table.columns[:5]) == ["scenario", "attack", "statistic", "method", "seed"]
    assert len(table) == len(METHODS) * 5 * len(attacks.ATTACKS)
    other.mkdir()
    table.assign(scenario="cifar5").to_csv(other / "attacks.csv", index=False)
    given = {"out": str(folder), "others": [str(other), str(tmp_path / "none")]}
    book = books.read(books.folder() / "07_adaptive_attacks.ipynb")
    books.execute(book, tmp_path / "07.ipynb", {"methods": ["RURK"], **FEW, **given})
    drawn = {p.stem.removeprefix("07_") for p in (folder / "figures").glob("07_*.png")}
    always = {"distance", "mapping", "membership", "relearn"}
    assert drawn == always | {"attacks", "cheats", "outside", "scenarios"}
    joined = pd.read_csv(folder / "figures" / "07_scenarios.csv")
    assert joined.scenario.unique().tolist() == ["digits", "cifar5"]


COLUMNS = ["scenario", "attack", "statistic", "method", "seed", "value", "reference"]
COLUMNS += ["predict_low", "predict_high", "t", "finding"]
DIGITS = [
    ("noise", "level", "RURK", 0, 1.0, 3.0, 2.0, 4.0, -4.0, "below"),
    ("noise", "level", "RURK", 1, 2.0, 3.0, 2.0, 4.0, -2.0, "inside"),
    ("noise", "level", "RURK", 2, 6.0, 3.0, 2.0, 4.0, 6.0, "above"),
    ("mapping", "level", "RURK", 0, 5.0, 3.0, 2.0, 4.0, 4.0, "above"),
    ("mapping", "level", "RURK", 1, 7.0, 5.0, 4.0, 6.0, 4.0, "above"),
    ("mapping", "level", "RURK", 2, 1.0, np.nan, np.nan, np.nan, np.nan, ""),
]
CIFAR = [("noise", "level", "GD", 0, 1.0, 1.0, 0.0, 2.0, 0.0, "inside")]


def test_cells_are_methods_over_seeds_and_shares_are_of_what_is_known():
    """Fails if seeds are counted where nothing is known, or scenarios are thrown together."""
    rows = {"digits": DIGITS, "cifar5": CIFAR}
    tables = {k: pd.DataFrame([(k, *r) for r in v], columns=COLUMNS) for k, v in rows.items()}
    cells = compare_runs(tables)
    assert cells.scenario.tolist() == ["digits", "digits", "cifar5"]
    noise, mapping, other = (row for _, row in cells.iterrows())
    assert (noise.seeds, noise.value, noise.least, noise.most) == (3, 3.0, 1.0, 6.0)
    assert (noise.above, noise.below, noise.known, noise.t) == (1, 1, 3, 0.0)
    assert (mapping.reference, mapping.predict_low, mapping.predict_high) == (4.0, 3.0, 5.0)
    assert (mapping.above, mapping.below, mapping.known) == (2, 0, 2)
    assert (other.method, other.known) == ("GD", 1)
    shares = share_outside(cells).set_index("scenario")
    assert shares.loc["digits", ["attacks", "above", "below"]].tolist() == [2, 3 / 5, 1 / 5]
    assert shares.loc["cifar5", ["attacks", "above", "below"]].tolist() == [1, 0, 0]


def made(rng, lift, hardness, shape=()):
    """A model's numbers: samples of different hardness, forget ones lifted."""
    forget = hardness[0] + lift + 0.1 * rng.normal(size=(*shape, 40))
    return {"a": {FORGET: forget, HELD_OUT: hardness[1] + 0.1 * rng.normal(size=(*shape, 50))}}


def test_the_table_finds_what_is_planted_and_calibration_sharpens_it():
    """A lift of 0.3 on hardnesses of spread 2 is little by itself and plain after calibration."""
    rng = np.random.default_rng(0)
    hardness = 2 * rng.normal(size=40), 2 * rng.normal(size=50)
    references = {f"r{k}": made(rng, 0.0, hardness) for k in range(6)}
    models = {"known": made(rng, 0.3, hardness), "none": made(rng, 0, hardness)}
    rows = placement_table(models, references).set_index(["model", "statistic"])
    assert rows.value["known", "calibrated auc"] > 0.97
    assert abs(rows.value["known", "auc"] - rows.reference["known", "auc"]) < 0.1
    found = rows.finding["known"]
    assert (found[["calibrated auc", "calibrated tpr", "level"]] == "above").all()
    assert rows.reference["known", "calibrated auc"] == pytest.approx(0.5, abs=0.05)
    assert (rows.finding["none"][["level", "calibrated auc"]] == "inside").all()
    means = [r["a"][FORGET].mean() for r in references.values()]
    assert rows.reference["known", "level"] == pytest.approx(np.mean(means))


def test_a_reference_is_left_out_of_its_own_calibration():
    """Two references besides it: their calibrated numbers by hand."""
    rng = np.random.default_rng(2)
    hardness = rng.normal(size=40), rng.normal(size=50)
    references = {f"r{k}": made(rng, 0.05 * k, hardness) for k in range(3)}
    rows = placement_table({"m": made(rng, 0, hardness)}, references)
    row = rows[rows.statistic == "calibrated auc"].iloc[0]
    numbers, wanted = [r["a"] for r in references.values()], []
    for k in range(3):
        rest = [n for j, n in enumerate(numbers) if j != k]
        sides = [numbers[k][p] - np.mean([n[p] for n in rest], 0) for p in (FORGET, HELD_OUT)]
        wanted.append(membership(*sides).auc)
    place = placement(row.value, wanted, left_out=True)
    assert row[[*place]].to_dict() == pytest.approx(place)


def test_several_targets_are_compared_about_the_same_one():
    """References' numbers are [targets, n]; model m is about target 1."""
    rng, hardness = np.random.default_rng(3), (np.zeros(40), np.zeros(50))
    references = {f"r{k}": made(rng, 0.0, hardness, shape=(2,)) for k in range(4)}
    for r in references.values():
        r["a"][FORGET][1] += 5
    models = {"m": made(rng, 5.0, hardness)}
    tables = [placement_table(models, references, targets={"m": target}) for target in (0, 1)]
    assert [table.finding[0] for table in tables] == ["above", "inside"]  # of the level


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
    rows = pd.DataFrame(placed)
    assert (rows.finding != "inside").mean() == pytest.approx(0.05, abs=0.012)
    assert ((rows.value > rows.predict_high) == (rows.finding == "above")).all()
    assert ((rows.value < rows.predict_low) == (rows.finding == "below")).all()
    assert rows.t.abs().to_numpy() == pytest.approx(stats.t.isf(rows.p / 2, k - 1))


@pytest.mark.parametrize(
    ("value", "references"),
    [(1, [1, 2]), (np.nan, [1, 2, 3]), (1, [1, np.nan, 2]), (1, [1] * 3), (9, [1 / 3] * 6)],
)
def test_where_nothing_can_be_said_nothing_is(value, references):
    found = placement(value, references)
    assert found["finding"] == ""
    assert np.isnan(found["p"])
