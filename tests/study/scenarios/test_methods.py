"""What a scenario and a study tell the methods."""

from dataclasses import replace

import pytest
import torch

from rurklib import study, unlearn
from rurklib.study.ids import ModelId
from rurklib.study.scenarios import SCENARIOS
from rurklib.study.scenarios.scenario import tuned
from rurklib.unlearn.rurk import FIRST


@pytest.mark.parametrize("scenario", ["digits", "cifar5", "fashion"])
def test_scenarios_have_them_with_the_tuned_values_of_both(scenario):
    """Fails if a scenario's pair starts from defaults where the single methods were tuned."""
    methods = SCENARIOS[scenario].methods
    for name in FIRST:
        assert methods[f"{name}+RURK"] == {**methods["RURK"], "first": methods[name]}
        assert methods["RURK"]
    changed = SCENARIOS[scenario].changed({"GD+RURK.first": {"lr": 0.5}, "GD+RURK.tau": 0.3})
    assert changed.methods["GD+RURK"] == {**methods["RURK"], "tau": 0.3, "first": {"lr": 0.5}}
    assert changed.methods["RURK"] == methods["RURK"]
    assert tuned(scenario, "NegGrad+") == {"NegGrad+": dict(methods["NegGrad+"])}


def test_a_study_tells_its_recipe(tmp_path):
    """That of re-trained models, whatever ``--set`` changed. Fails if the method's own default is
    used, Original's recipe, or if another recipe doesn't make the model again."""
    settings = {"epochs": 1, "references": 2, "methods": ["Retrain-quarter"]}
    run = study.open_run("digits", tmp_path / "run", seeds=[0], settings=settings)
    run = replace(run, scenario=replace(run.scenario, retrain_epochs=5))

    def alike(a, b) -> bool:
        one, other = a.state_dict(), b.state_dict()
        return all(torch.equal(v, other[k]) for k, v in one.items())

    model = study.train(run)[ModelId("Original", 0)]
    made = study.unlearn(run)[ModelId("Retrain-quarter", 0)]
    pairs = run.pair("retain"), run.pair("forget")
    told = replace(run.scenario.recipe, epochs=5)
    assert alike(made, unlearn("Retrain-quarter", model, *pairs, seed=0, recipe=told))
    longer = replace(run, scenario=replace(run.scenario, retrain_epochs=9))
    study.train(longer)
    assert not alike(made, study.unlearn(longer)[ModelId("Retrain-quarter", 0)])
