"""A cell of an ablation: the changed choice is the one that is made, on models that cells share."""

import math

import pytest
import torch

from rurklib import InputError, perturb, residual_knowledge, unlearn
from rurklib.study.ablation import ablate, matched_radius, shared_run
from rurklib.study.models import load_models
from rurklib.study.run import ModelId
from rurklib.study.scenario import SCENARIOS

SETTINGS = {"training.epochs": 1, "references": 3, "draws": 4, "taus": [0.0, 0.2]}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("ablation") / "models"


def cell(shared, **changes):
    return ablate("digits", shared, seed=0, settings=SETTINGS, **changes)


def test_it_is_the_method_with_that_choice(shared):
    """By hand, from the shared models, on the same copies for all and on those that a gradient
    finds. Fails if the scenario's value is used instead, or the paper's where the scenario has its
    own, or the references of another request, or references see other copies than the model."""
    changed, taus = {"lambda_a": 0.7, "epochs": 1}, {"gaussian": [0.0, 0.2], "fgsm": [0.0, 0.05]}
    frame, verdicts = cell(
        shared, hyperparameters=changed, laws=list(taus), radii={"fgsm": taus["fgsm"]}
    )
    run = shared_run("digits", shared, seed=0, settings=SETTINGS)
    values = {**SCENARIOS["digits"].hyperparameters("RURK"), **changed}
    original = load_models(run, run.trained)[ModelId("Original", 0)]
    model = unlearn("RURK", original, run.pair("retain"), run.pair("forget"), seed=0, **values)
    models, references = {"Original": original, "RURK": model}, run.names("Re-train")
    retrained = list(load_models(run, references).values())
    for law in taus:
        how = {"taus": taus[law], "draws": 4, "perturbation": law}
        result = residual_knowledge(models, retrained, *run.pair("forget"), **how)
        for name in models:
            rows = frame[(frame.method == name) & (frame.law == law)]
            assert rows.alike_tau.tolist() == rows.tau.tolist() == taus[law]
            for column in ("ratio_of_means", "predict_high", "margin_difference"):
                found = result.frame[result.frame.model == name][column]
                assert rows[column].tolist() == pytest.approx(found.tolist(), nan_ok=True)
            if law == "gaussian":
                finding = result.judge(name).finding
                assert set(frame.finding[frame.method == name]) == {finding}
                assert verdicts[name].finding == finding
    assert frame.average_gap.notna().all()
    assert frame.method.tolist()[-3:] == ["Re-train"] * 3


def test_cells_share_their_models_and_what_is_known_of_them(shared):
    """Fails if a second cell trains, counts or judges Original or a reference again, or if one seed
    stands for Original and the method."""

    def stamps():
        kept = [p for p in shared.rglob("*") if p.suffix in (".safetensors", ".npz", ".json")]
        return {p: p.stat().st_mtime_ns for p in kept if p.name not in ("run.json", "env.json")}

    cell(shared)
    before = stamps()
    assert {p.suffix for p in before} == {".safetensors", ".npz", ".json"}
    changes = [{"unlearning_seed": seed} for seed in (None, 0, 1)]
    changes.append({"hyperparameters": {"lambda_a": 0.9}})
    frames = [cell(shared, **change)[0].groupby("method").margin.agg(list) for change in changes]
    assert stamps() == before
    ours, same, seed, value = (margins["RURK"] for margins in frames)
    assert ours == same
    assert ours != seed
    assert ours != value
    assert all(margins["Original"] == frames[0]["Original"] for margins in frames)


def test_another_request_has_models_of_its_own(shared):
    ours = shared_run("digits", shared, seed=0, settings=SETTINGS)
    other = shared_run("digits", shared, seed=0, settings={**SETTINGS, "forget_order": "hard"})
    assert ours.folder != other.folder
    assert ours.split.forget != other.split.forget


def test_noise_in_another_norm_is_as_large(shared, monkeypatch):
    """Trained and measured at the radius of the ball, named by the tau of Gaussian noise. Fails if
    an L1 ball of radius 0.2 is taken, which holds next to nothing."""
    radii = set()
    real = perturb.PERTURBATIONS["uniform-l1"].sample

    def sample(model, x, y, tau, generators, bounds):
        radii.add(round(tau, 6))
        return real(model, x, y, tau, generators, bounds)

    watched = perturb.Perturbation(sample)
    monkeypatch.setitem(perturb.PERTURBATIONS, "uniform-l1", watched)
    changed = {"perturbation": "uniform-l1", "tau": 0.1, "epochs": 1}
    frame, _ = cell(shared, hyperparameters=changed, laws=["uniform-l1"])
    radius = math.sqrt(65 * 66 / 2)
    assert radii == {round(0.1 * radius, 6), round(0.2 * radius, 6)}
    assert frame[frame.method == "RURK"].alike_tau.tolist() == [0.0, 0.2]


def test_what_can_not_be_asked_is_refused_before_training(tmp_path):
    for scenario, match, changes in (
        ("digits", "hyper-parameter of RURK", {"hyperparameters": {"lambda": 1.0}}),
        ("digits", "law", {"laws": ["laplace"]}),
        ("digits", "forget_order", {"settings": {"forget_order": "odd"}}),
        ("mnist", "scenario", {}),
    ):
        with pytest.raises(InputError, match=match):
            ablate(scenario, tmp_path / "m", seed=0, **{"settings": SETTINGS, **changes})
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize("name", perturb.BALLS)
@pytest.mark.parametrize("d", [1, 64])
def test_uniform_noise_is_as_large_as_gaussian_noise(name, d, rng):
    """The radius gives uniform noise the root mean square of Gaussian noise, in every norm."""
    radius = matched_radius(0.3, name, d)
    x = torch.zeros(40_000, d, dtype=torch.float64)
    noise = perturb.PERTURBATIONS[name].sample(None, x, None, radius, [rng(d)], None)
    assert noise.square().mean().sqrt().item() == pytest.approx(0.3, rel=0.02)
