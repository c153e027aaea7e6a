"""A cell of an ablation: the changed choice is the one that is made, on models that cells share."""

import math

import pytest

from rurklib import InputError, perturb, residual_knowledge, study, unlearn
from rurklib.study.stages.ablation import ablate, shared_run

SETTINGS = {"epochs": 1, "references": 3, "draws": 4, "taus": [0.0, 0.2]}
BY = ["method", "law", "tau"]


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    return tmp_path_factory.mktemp("ablation") / "models"


def cell(shared, **changes):
    return ablate("digits", shared, seed=0, settings=SETTINGS, **changes)


def test_it_is_the_method_with_that_choice(shared):
    """By hand, from the shared models. Fails if the scenario's value is used instead, or the
    references of another request."""
    frame, verdicts = cell(shared, hyperparameters={"lambda_a": 0.7, "epochs": 1})
    run = shared_run("digits", shared, seed=0, settings=SETTINGS)
    models = study.load_models(run, run.trained)
    values = {**run.scenario.hyperparameters("RURK"), "lambda_a": 0.7, "epochs": 1}
    original = models["Original", 0]
    model = unlearn("RURK", original, run.pair("retain"), run.pair("forget"), seed=0, **values)
    references = [net for (m, _), net in models.items() if m == "Re-train"]
    taus = SETTINGS["taus"]
    result = residual_knowledge(
        {"RURK": model}, references, *run.pair("forget"), taus=taus, draws=4
    )
    own = frame[frame.method == "RURK"]
    for column in ("ratio_of_means", "predict_high", "margin_difference"):
        assert own[column].tolist() == pytest.approx(result.frame[column].tolist())
    assert own.finding.iloc[0] == verdicts["RURK"].finding == result.judge("RURK").finding
    assert own.average_gap.notna().all()
    assert set(frame.method) == {"Original", "RURK", "Re-train"}
    assert len(frame[frame.method == "Re-train"]) == 3


def test_cells_share_their_models(shared):
    cell(shared)
    before = {p: p.stat().st_mtime_ns for p in shared.rglob("*.safetensors")}
    frame, _ = cell(shared, hyperparameters={"lambda_a": 0.3})
    other, _ = cell(shared, hyperparameters={"lambda_a": 0.9})
    assert {p: p.stat().st_mtime_ns for p in shared.rglob("*.safetensors")} == before
    same = frame.method == "Original"
    assert frame[same].drop(columns="seconds").equals(other[same].drop(columns="seconds"))
    rurk = frame.method == "RURK"
    assert not frame[rurk].margin.equals(other[rurk].margin)


def test_another_request_has_models_of_its_own(shared):
    ours = shared_run("digits", shared, seed=0, settings=SETTINGS)
    other = shared_run("digits", shared, seed=0, settings={**SETTINGS, "forget_order": "hard"})
    assert ours.folder != other.folder
    assert ours.split.forget != other.split.forget
    assert len(list((other.folder / "models").glob("*"))) == 4


def test_noise_in_another_norm_is_as_large(shared, monkeypatch):
    """Trained and measured at the radius of the ball, told by the tau of Gaussian noise. Fails if
    an L1 ball of radius 0.2 is taken, which holds next to nothing."""
    asked = {}
    real = perturb.PERTURBATIONS["uniform-l1"].sample

    def draw(model, x, y, tau, generator, bounds):
        asked[round(tau, 6)] = True
        return real(model, x, y, tau, generator, bounds)

    law = perturb.Perturbation(draw, gradient_based=False, random=True, p=1)
    monkeypatch.setitem(perturb.PERTURBATIONS, "uniform-l1", law)
    frame, _ = cell(
        shared,
        hyperparameters={"perturbation": "uniform-l1", "tau": 0.1, "epochs": 1},
        laws=["uniform-l1"],
    )
    radius = math.sqrt(65 * 66 / 2)
    assert set(asked) == {round(0.1 * radius, 6), round(0.2 * radius, 6)}
    assert frame[frame.method == "RURK"].alike_tau.tolist() == [0.0, 0.2]


def test_what_can_not_be_asked_is_refused_before_training(tmp_path):
    for match, changes in (
        ("hyper-parameter of RURK", {"hyperparameters": {"lambda": 1.0}}),
        ("law", {"laws": ["laplace"]}),
    ):
        with pytest.raises(InputError, match=match):
            ablate("digits", tmp_path / "m", seed=0, settings=SETTINGS, **changes)
    with pytest.raises(InputError, match="forget_order"):
        ablate("digits", tmp_path / "m", seed=0, settings={"forget_order": "odd"})
    with pytest.raises(InputError, match="scenario"):
        ablate("mnist", tmp_path / "m", seed=0)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_references_are_measured_once(shared):
    run = shared_run("digits", shared, seed=0, settings=SETTINGS)
    table = run.folder / "references.json"
    stamp = table.stat().st_mtime_ns
    cell(shared)
    assert table.stat().st_mtime_ns == stamp


def test_a_law_may_have_radii_of_its_own(shared):
    """As they are, not made alike, and only that law's. Fails if radii of one law reach another."""
    radii = {"uniform-l2": (0.0, 0.5, 0.7)}
    frame, _ = cell(shared, laws=["gaussian", "uniform-l2"], radii=radii)
    own = frame[frame.method == "RURK"].groupby("law")
    assert own.get_group("gaussian").tau.tolist() == [0.0, 0.2]
    assert own.get_group("uniform-l2").tau.tolist() == [0.0, 0.5, 0.7]
    assert own.get_group("uniform-l2").alike_tau.tolist() == [0.0, 0.5, 0.7]
    with pytest.raises(InputError, match="law with radii"):
        cell(shared, radii={"fgsm": (0.1,)})
