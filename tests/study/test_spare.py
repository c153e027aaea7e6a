"""Samples that nobody trains on, for methods that ask: from validation, never the test part."""

from __future__ import annotations

import inspect

import pytest
import torch

from rurklib import METHODS, study
from rurklib.study.run import open_run

SMALL = {"epochs": 1, "references": 2, "taus": [0.0, 0.2]}


def rows(x: torch.Tensor) -> set[bytes]:
    return {row.numpy().tobytes() for row in x}


@pytest.fixture(params=[False, True], ids=["study", "rehearsal"])
def run(request, tmp_path):
    return open_run("digits", tmp_path / "r", seeds=[900], settings=SMALL, rehearsal=request.param)


def test_spare_samples_are_those_of_the_validation_part(run, tmp_path):
    """Fails if a method could look at what is reported: a test sample or one it is trained on."""
    real = open_run("digits", tmp_path / "real", seeds=[900], settings=SMALL)
    x, y = run.spare
    assert torch.equal(x, real.pair("validation")[0])
    assert torch.equal(y, real.pair("validation")[1])
    for part in ("test", "held_out", "original"):
        assert not rows(x) & rows(real.pair(part)[0])
    assert not rows(x) & rows(run.pair("original")[0])


def test_only_a_method_that_asks_is_given_them(run, monkeypatch):
    """Fails if held-out samples reach GD, or don't reach the method that wants them."""
    study.train(run)
    given = {}

    def asking(model, retain, forget, *, seed=0, held_out=None, lr=0.1):
        given["asking"] = (seed, held_out, lr)
        return model

    def plain(model, retain, forget, *, seed=0, lr=0.1):
        given["plain"] = (seed, lr)
        return model

    assert "held_out" not in inspect.signature(METHODS["GD"]).parameters
    monkeypatch.setitem(METHODS, "asking", asking)
    monkeypatch.setitem(METHODS, "plain", plain)
    for name in ("asking", "plain"):
        study.unlearned(run, name, 900, {"lr": 0.5})
    assert given["plain"] == (900, 0.5)
    seed, (x, y), lr = given["asking"]
    assert (seed, lr) == (900, 0.5)
    assert torch.equal(x, run.spare[0])
    assert torch.equal(y, run.spare[1])


def test_rurk_calibrated_runs_on_a_rehearsal_and_in_a_study(run):
    study.train(run)
    (original,) = study.load_models(run, [("Original", 900)]).values()
    options = {"reference_epochs": 1, "epochs": 1}
    one, same = (study.unlearned(run, "RURK-calibrated", 900, options) for _ in "ab")
    a, b, o = (torch.cat([p.flatten() for p in m.parameters()]) for m in (one, same, original))
    assert torch.equal(a, b)
    assert not torch.equal(a, o)
