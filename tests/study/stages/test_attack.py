"""A small finished run under attack: files, the table, and what is asked again."""

import shutil

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch

from rurklib import attacks, study
from rurklib.checks import InputError
from rurklib.metrics.relearn import few_shots
from rurklib.models.logits import logit_margin
from rurklib.samples import as_float
from rurklib.study import books
from rurklib.study.run import open_existing, open_run
from rurklib.study.stages.attack import RELEARN, _sources

FEW = {"draws": 2, "steps": 3, "queries": 4, "shots": 4, "most": 12}


@pytest.fixture(scope="module")
def attacked(run):
    return study.attacked(run, ["Original", "RURK", "Damped"], **FEW)


def test_every_model_has_every_attack_on_every_part(run, attacked):
    models, references = attacked
    assert list(models) == [("Original", 0), ("RURK", 0), ("Damped", 0)]
    assert len(references) == 3
    sizes = {name: len(y) for name, (_, y) in study.class_parts(run, FEW["most"]).items()}
    assert sizes == dict.fromkeys(("forget set", "held out", "retained"), 12)
    for numbers in (*models.values(), *references.values()):
        assert list(numbers) == [*attacks.ATTACKS, RELEARN]
        for name, its in numbers.items():
            if name != RELEARN:
                assert {p: v.shape[-1] for p, v in its.items()} == sizes
                assert all(np.isfinite(v).all() for v in its.values())
    original = models[("Original", 0)]
    assert np.allclose(original["mapping (UMA)"]["forget set"], -np.log(1e-6))  # its own answers
    assert original[RELEARN]["forget set"].max() == 0


def test_numbers_are_those_of_the_parts_in_their_order(run, attacked):
    """Fails if parts are swapped, or another model is loaded."""
    for name, part in (("RURK", "held out"), ("Original", "forget set")):
        model = study.load_models(run, [(name, 0)])[name, 0]
        x, y = study.class_parts(run, FEW["most"])[part]
        with torch.no_grad():
            own = logit_margin(model(as_float(x)), y)
        found = attacked[0][(name, 0)]["confidence (LiRA)"][part]
        assert np.allclose(found, own.numpy())


def test_no_model_is_shown_its_own_copies(run):
    """Fails if a re-trained model is among its own sources, so that references were searched on
    and models were not."""
    first, *others = run.names("Re-train")
    for name in (first, *others, *run.names("RURK")):
        shown = _sources(run, name)
        assert name not in shown["Re-train"]
        assert len(shown["Re-train"]) == 1
    assert _sources(run, others[-1])["Re-train"] == [first]
    assert _sources(run, run.names("RURK")[0])["Original"] == run.names("Original")[:1]


def test_the_few_shot_attack_trains_the_model_itself(run, attacked):
    """Fails if it is given the folded net that other attacks ask: it has no BatchNorm to train."""
    model = study.load_models(run, [("RURK", 0)])["RURK", 0]
    pair = study.class_parts(run, FEW["most"])["forget set"]
    curve = few_shots(model, study.validation_of_class(run, FEW["shots"]), pair)[1]
    found = attacked[0][("RURK", 0)]["few shots"]["forget set"]
    assert np.allclose(found, curve[-1].numpy(), atol=1e-5)
    assert not np.allclose(found, curve[0].numpy(), atol=0.1)


def test_the_table_is_written_with_scenario_method_and_seed(run, attacked):
    frame = study.attack_table(run, *attacked)
    assert list(frame.columns[:5]) == ["scenario", "attack", "statistic", "method", "seed"]
    assert set(frame.scenario) == {"digits"}
    assert set(frame.method) == {"Original", "RURK", "Damped"}
    kept = pd.read_csv(run.folder / "attacks.csv")
    assert len(kept) == len(frame) == 3 * (5 * len(attacks.ATTACKS) + 1)


def test_finished_models_are_read_and_other_settings_asked_anew(run, attacked, monkeypatch, capsys):
    def never(*_):
        raise AssertionError("asked again")

    monkeypatch.setattr("rurklib.study.stages.attack._attack", never)
    study.attacked(run, ["Original", "RURK", "Damped"], **FEW)
    assert "6 of 6 models are attacked already" in capsys.readouterr().out
    study.attacked(run, ["Original"], **FEW, share=0.2, seed=0)  # the defaults
    with pytest.raises(AssertionError, match="asked again"):
        study.attacked(run, ["Original"], **(FEW | {"queries": 6}))


@pytest.mark.slow
def test_the_notebook_runs_on_a_finished_run_and_is_skipped_when_finished(
    run, attacked, tmp_path, monkeypatch
):
    """With tiny parameters: all figures, their data and alt text, and nothing done twice."""
    folder = tmp_path / "digits"
    shutil.copytree(run.folder, folder)
    there = open_existing(folder)
    other = tmp_path / "cifar5"
    other.mkdir()
    table = study.attack_table(there, *attacked)
    table.assign(scenario="cifar5").to_csv(other / "attacks.csv", index=False)
    few = {"methods": ["RURK"], **FEW, "others": [str(other), str(tmp_path / "none")]}
    assert books.run_attacks(there, {"out": str(folder), **few})
    book = nbformat.read(folder / "notebooks" / "07_adaptive_attacks.ipynb", as_version=4)
    assert not [o for c in book.cells for o in c.get("outputs", []) if o.output_type == "error"]
    drawn = sorted(p.stem for p in (folder / "figures").glob("07_*.png"))
    assert drawn == ["07_attacks", "07_cheats", "07_distance", "07_mapping", "07_masking",
                     "07_membership", "07_outside", "07_relearn", "07_scenarios"]  # fmt: skip
    joined = pd.read_csv(folder / "figures" / "07_scenarios.csv")
    assert joined.scenario.unique().tolist() == ["digits", "cifar5"]
    said = []
    assert not books.run_attacks(there, {"out": str(folder), **few}, say=said.append)
    assert "finished already" in said[0]
    # Another run's table is part of what the notebook shows.
    (other / "attacks.csv").write_text((other / "attacks.csv").read_text() + "\n")
    monkeypatch.setattr(books, "_execute", lambda *_: book)
    assert books.run_attacks(there, {"out": str(folder), **few})
    with pytest.raises(InputError, match="unknown parameter"):
        books.run_attacks(there, {"outt": "x"})


def test_unknown_names_are_refused(run):
    with pytest.raises(InputError, match="did you mean 'RURK'"):
        study.attacked(run, ["RURQ"])
    with pytest.raises(InputError, match="did you mean 'draws'"):
        study.attacked(run, ["RURK"], drawz=3)
    with pytest.raises(InputError, match="unknown evasive unlearner"):
        study.evasive_model(run, ("Clever", 0))


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

    monkeypatch.setattr("rurklib.study.stages.attack.attack", attack)
    study.attacked(run, ["Original"], **(FEW | {"most": 5}))
    for name, (x, y) in cut.items():
        assert y.tolist() == [9] * 5
        assert torch.equal(given[name][0], x)
        assert all(bool((whole[name][0] == one).flatten(1).all(1).any()) for one in x)
