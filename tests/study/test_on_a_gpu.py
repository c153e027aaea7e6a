"""A study on a GPU that isn't there (``pretended_gpu``): the numbers of the run that a CPU made."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from pretended_gpu import pretended_gpu

from rurklib import study
from rurklib.study.audit.files import built
from rurklib.study.page.build import page
from rurklib.study.resume import Kept
from rurklib.study.run import open_existing, open_run
from rurklib.study.run_record import flat
from rurklib.study.stages.summary import summarise

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def made(small_run, tmp_path_factory):
    """``small_run`` made anew, without its search. (Controls are made there by notebook 4, in
    test_exercises.)"""
    asked = open_existing(small_run).scenario.settings()
    asked = {**flat(asked), "methods": [*asked["methods"]], "perturbations": ["gaussian"]}
    folder = tmp_path_factory.mktemp("there") / "run"
    with pretended_gpu():
        run = open_run("digits", folder, seeds=[0], settings=asked)
        study.train(run)
        study.unlearn(run)
        summarise(run)
        study.measure(run)
    assert run.device.type == "cuda"
    return run


def test_the_numbers_are_those_of_the_cpu(made, small_run):
    for name in ("summary.csv", "residual_knowledge.csv"):
        there, here = (pd.read_csv(folder / name) for folder in (made.folder, small_run))
        here = here[: len(there)].drop(columns=["seconds", "share_of_retrain"], errors="ignore")
        pd.testing.assert_frame_equal(there[here.columns], here, rtol=1e-3, atol=1e-4)


def test_what_a_finished_study_is_asked_for(made):
    """Attacks, the page for others."""
    few = {"draws": 2, "steps": 3, "shots": 4, "most": 6}
    with pretended_gpu():
        table = study.attack_table(made, *study.attacked(made, ["RURK"], **few))
        html = page(made, ["GD"], references=3)
    assert set(table.method) == {"RURK"}
    assert html.startswith("<!doctype html>")


def test_a_training_goes_on_there(cnn, images, tmp_path):
    """Kept there, read here, put back there. Fails if a momentum or the random state isn't."""
    with pretended_gpu() as gpu:
        nets = cnn(1).to(gpu), cnn(2).to(gpu)
        first, second = (torch.optim.SGD(n.parameters(), 0.1, 0.9) for n in nets)
        nets[0](images(4)[0].to(gpu)).square().sum().backward()
        first.step()
        kept = Kept(tmp_path / "kept", "key", every=1)
        kept(nets[0], first, 1)
        drawn = torch.rand(3)
        assert kept(nets[1], second, 0) == 1
        assert torch.equal(torch.rand(3), drawn)
        for one, other in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
            assert torch.equal(one, other)
            there = second.state[other]["momentum_buffer"]
            assert torch.equal(there, first.state[one]["momentum_buffer"])


def test_a_net_that_is_built_there_is_audited(cnn):
    """As many a user's function ends: ``return net.cuda()``. It is moved when the samples are."""
    with pretended_gpu() as gpu:
        weights = {name: v.clone() for name, v in cnn().state_dict().items()}
        net = built(lambda: cnn(1).to(gpu), Path("w.pt"), weights, "net.py:Net")
        assert {v.device.type for v in net.state_dict().values()} == {"cpu"}
    assert all(torch.equal(v, weights[name]) for name, v in net.state_dict().items())
