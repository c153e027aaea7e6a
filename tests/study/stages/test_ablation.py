"""A cell of an ablation: the changed choice is the one that is made, on models that cells share."""

import math

import pytest
import torch

from rurklib import InputError, perturb, residual_knowledge, unlearn
from rurklib.study.ablation import ablate, matched_radius, shared_run
from rurklib.study.models import load_models
from rurklib.study.run import ModelId
from rurklib.study.scenario import SCENARIOS
from rurklib.unlearn.contract import defaults

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
    changed = {"lambda_a": 0.7, "epochs": 1}
    frame, verdicts = cell(shared, hyperparameters=changed, laws=["gaussian", "fgsm"])
    run = shared_run("digits", shared, seed=0, settings=SETTINGS)
    tuned = SCENARIOS["digits"].hyperparameters("RURK")
    assert tuned != defaults("RURK")
    values = {**tuned, **changed}
    original = load_models(run, run.trained)[ModelId("Original", 0)]
    model = unlearn("RURK", original, run.pair("retain"), run.pair("forget"), seed=0, **values)
    references = list(load_models(run, run.names("Re-train")).values())
    for law in ("gaussian", "fgsm"):
        result = residual_knowledge(
            {"Original": original, "RURK": model}, references, *run.pair("forget"),
            taus=SETTINGS["taus"], draws=4, perturbation=law,
        )  # fmt: skip
        for name in ("Original", "RURK"):
            own = frame[(frame.method == name) & (frame.law == law)]
            for column in ("ratio_of_means", "predict_high", "margin_difference"):
                found = result.frame[result.frame.model == name][column]
                assert own[column].tolist() == pytest.approx(found.tolist(), nan_ok=True)
        if law == "gaussian":
            assert own.finding.iloc[0] == verdicts["RURK"].finding == result.judge("RURK").finding
    assert own.average_gap.notna().all()
    assert set(frame.method) == {"Original", "RURK", "Re-train"}
    assert len(frame[frame.method == "Re-train"]) == 3


def test_cells_share_their_models_and_what_is_known_of_them(shared):
    """Fails if a second cell trains, counts or judges Original or a reference again."""

    def stamps():
        kept = [p for p in shared.rglob("*") if p.suffix in (".safetensors", ".npz", ".json")]
        return {p: p.stat().st_mtime_ns for p in kept if p.name not in ("run.json", "env.json")}

    cell(shared)
    before = stamps()
    assert {p.suffix for p in before} == {".safetensors", ".npz", ".json"}
    frame, _ = cell(shared, hyperparameters={"lambda_a": 0.3})
    other, _ = cell(shared, hyperparameters={"lambda_a": 0.9})
    assert stamps() == before
    same = frame.method == "Original"
    assert frame[same].drop(columns="seconds").equals(other[same].drop(columns="seconds"))
    assert not frame[frame.method == "RURK"].margin.equals(other[other.method == "RURK"].margin)


def test_a_methods_own_chance_is_apart_from_originals(shared):
    """The same Original with another seed for the method. Fails if one seed stands for both, or
    another Original is trained."""
    frames = [cell(shared, unlearning_seed=s)[0] for s in (None, 0, 1)]
    ours, same, other = (f[f.method == "RURK"].margin.tolist() for f in frames)
    assert ours == same
    assert ours != other
    first, _, again = (f[f.method == "Original"].margin.tolist() for f in frames)
    assert first == again


def test_another_request_has_models_of_its_own(shared):
    ours = shared_run("digits", shared, seed=0, settings=SETTINGS)
    other = shared_run("digits", shared, seed=0, settings={**SETTINGS, "forget_order": "hard"})
    assert ours.folder != other.folder
    assert ours.split.forget != other.split.forget
    assert len(list((other.folder / "models").glob("*"))) == 4


def test_noise_in_another_norm_is_as_large(shared, monkeypatch):
    """Trained and measured at the radius of the ball, told by the tau of Gaussian noise. Fails if
    an L1 ball of radius 0.2 is taken, which holds next to nothing."""
    asked = []
    real = perturb.PERTURBATIONS["uniform-l1"].sample

    def sample(model, x, y, tau, generators, bounds):
        asked.append(round(tau, 6))
        return real(model, x, y, tau, generators, bounds)

    watched = perturb.Perturbation(sample)
    monkeypatch.setitem(perturb.PERTURBATIONS, "uniform-l1", watched)
    changed = {"perturbation": "uniform-l1", "tau": 0.1, "epochs": 1}
    frame, _ = cell(shared, hyperparameters=changed, laws=["uniform-l1"])
    radius = math.sqrt(65 * 66 / 2)
    assert set(asked) == {round(0.1 * radius, 6), round(0.2 * radius, 6)}
    assert frame[frame.method == "RURK"].alike_tau.tolist() == [0.0, 0.2]


def test_a_law_may_have_radii_of_its_own(shared):
    """As they are, not matched, and only that law's. Fails if radii of one law reach another."""
    radii = {"uniform-l2": (0.0, 0.5, 0.7)}
    frame, _ = cell(shared, laws=["gaussian", "uniform-l2"], radii=radii)
    own = frame[frame.method == "RURK"].groupby("law")
    assert own.get_group("gaussian").tau.tolist() == [0.0, 0.2]
    for column in ("tau", "alike_tau"):
        assert own.get_group("uniform-l2")[column].tolist() == [0.0, 0.5, 0.7]


def test_what_can_not_be_asked_is_refused_before_training(tmp_path):
    for scenario, match, changes in (
        ("digits", "hyper-parameter of RURK", {"hyperparameters": {"lambda": 1.0}}),
        ("digits", "law", {"laws": ["laplace"]}),
        ("digits", "law with radii", {"radii": {"fgsm": (0.1,)}}),
        ("digits", "forget_order", {"settings": {"forget_order": "odd"}}),
        ("mnist", "scenario", {}),
    ):
        with pytest.raises(InputError, match=match):
            ablate(scenario, tmp_path / "m", seed=0, **{"settings": SETTINGS, **changes})
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize("name", perturb.BALLS)
@pytest.mark.parametrize("d", [1, 7, 64])
def test_uniform_noise_is_as_large_as_gaussian_noise(name, d, rng):
    """The radius gives uniform noise the root mean square of Gaussian noise, in every norm."""
    radius = matched_radius(0.3, perturb.BALLS[name], d)
    x = torch.zeros(40_000, d, dtype=torch.float64)
    noise = perturb.PERTURBATIONS[name].sample(None, x, None, radius, [rng(d)], None)
    assert noise.square().mean().sqrt().item() == pytest.approx(0.3, rel=0.02)
