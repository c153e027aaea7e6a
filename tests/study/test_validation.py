"""Samples that nobody trains on: validation, never the test part."""

import pytest
import torch

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
    x, y = run.validation
    assert torch.equal(x, real.pair("validation")[0])
    assert torch.equal(y, real.pair("validation")[1])
    for part in ("test", "held_out", "original"):
        assert not rows(x) & rows(real.pair(part)[0])
    assert not rows(x) & rows(run.pair("original")[0])
