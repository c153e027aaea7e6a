"""What the inspector shows is what was measured: the same copies, the same answers."""

import numpy as np
import pytest
import torch

from rurklib import study
from rurklib.checks import InputError
from rurklib.perturb import ball
from rurklib.perturb.perturbations import PERTURBATIONS
from rurklib.study.inspector.choices import (
    AIMS,
    KINDS,
    other_aim,
    perturbation_named,
    reach,
)
from rurklib.study.inspector.view import Inspector

LABEL = {"Original": "Original-seed0", "GD": "GD-seed0", "Re-train 1001": "Re-train-seed1001"}


@pytest.mark.parametrize("model", LABEL)
@pytest.mark.parametrize("perturbation", ["gaussian", "pgd-l2"])
def test_draws_of_the_inspector_are_those_of_the_counts(inspector, perturbation, model):
    """Recognised copies over all draws are exactly the hits that the study counted."""
    counts = study.residual(inspector.run, perturbation).counts[LABEL[model]]
    taus, draws = inspector.run.scenario.taus, inspector.run.scenario.draws
    for sample in (0, 7, 44):
        views = [inspector.view(sample, perturbation, taus[2], i, model) for i in range(draws)]
        hits = sum(v.recognised[v.models.index(model)] for v in views)
        assert hits == counts.of(LABEL[model])[2, sample]
        if model != "Re-train 1001":
            theirs = sum(v.recognised[v.models.index("Re-train 1002")] for v in views)
            assert theirs == counts.of("Re-train-seed1002")[2, sample]


def test_a_view_holds_the_model_s_own_numbers(inspector):
    v = inspector.view(3, "gaussian", 0.15, 5)
    copy = torch.tensor(v.copy)[None]
    for name, net in inspector.models.items():
        with torch.no_grad():
            own = net(copy).softmax(1)[0].numpy()
        at = v.models.index(name)
        np.testing.assert_allclose(v.probabilities[at], own, atol=1e-5)
        assert v.answers[at] == own.argmax()
        assert v.recognised[at] == (own.argmax() == v.truth)
    assert v.truth == 9
    np.testing.assert_allclose(v.probabilities.sum(1), 1, atol=1e-5)
    np.testing.assert_array_equal(v.difference, v.copy - v.image)


def test_rows_put_the_references_together(inspector):
    v = inspector.view(0)
    assert v.names == ("Original", "Re-train", "GD", "RURK")
    assert v.row("Re-train").shape == (3, 10)
    np.testing.assert_array_equal(v.row("GD")[0], v.probabilities[v.models.index("GD")])


def test_distances_are_those_of_the_perturbation(inspector):
    by = {}
    for perturbation in (n for n, rule in PERTURBATIONS.items() if not rule.tokens):
        v = inspector.view(2, perturbation, 0.1, 1)
        by[perturbation] = v.distances
        norm = (
            "L1"
            if "l1" in perturbation.split("-")
            else "L2"
            if "l2" in perturbation.split("-")
            else "L-inf"
        )
        if perturbation != "gaussian":
            assert v.distances[norm] <= 0.1 + 1e-6
        assert v.distances["L-inf"] <= v.distances["L2"] <= v.distances["L1"]
    assert by["fgsm"]["L-inf"] == pytest.approx(0.1, abs=1e-6)
    d = torch.tensor(inspector.view(2, "pgd-l2", 0.1).difference)[None]
    assert by["pgd-l2"]["L2"] == pytest.approx(float(ball.norm(d, 2)), rel=1e-3)


def test_without_a_perturbation_there_is_no_difference(inspector):
    for perturbation in (n for n, rule in PERTURBATIONS.items() if not rule.tokens):
        assert not inspector.view(1, perturbation, 0.0, 4).difference.any()


def test_each_choice_changes_the_copy_and_an_idle_one_does_not(inspector):
    base = {
        "sample": 4,
        "perturbation": "pgd-l2",
        "tau": 0.5,
        "draw": 0,
        "found_on": "GD",
        "steps": 10,
    }
    first = inspector.view(**base).copy
    np.testing.assert_array_equal(first, inspector.view(**base).copy)
    for change in ({"draw": 1}, {"found_on": "Re-train 1000"}, {"steps": 2}, {"tau": 0.4}):
        assert (inspector.view(**base | change).copy != first).any(), change
    noise = base | {"perturbation": "gaussian", "tau": 0.1}
    same = inspector.view(**noise | {"found_on": "RURK", "steps": 3})
    np.testing.assert_array_equal(same.copy, inspector.view(**noise).copy)
    assert same.found_on == ""


def test_samples_are_ordered_by_their_ratio(inspector):
    counts = study.residual(inspector.run, "gaussian").counts["Original-seed0"]
    own = counts.of("Original-seed0")[1:].sum(0)
    others = np.mean(
        [counts.of(f"Re-train-seed{k}")[1:].sum(0) for k in (1000, 1001, 1002)], axis=0
    )
    by_hand = np.array([a / b if b else np.nan for a, b in zip(own, others, strict=True)])
    np.testing.assert_allclose(inspector.ratios, by_hand)
    assert sorted(inspector.order) == list(range(45))
    shown = inspector.ratios[inspector.order]
    known = shown[~np.isnan(shown)]
    assert (np.diff(known) <= 0).all()


def test_a_sample_that_only_original_knows_comes_first_and_one_nobody_knows_last(inspector):
    fresh = Inspector(inspector.run)
    own, others = np.array([2, 5, 0, 0, 4]), np.array([[2, 0, 0, 3, 1], [2, 0, 0, 3, 1]])
    fresh.hits = lambda name: (own, others)
    np.testing.assert_array_equal(fresh.ratios, [1, np.nan, np.nan, 0, 4])
    np.testing.assert_array_equal(fresh.order, [1, 4, 0, 3, 2])


def test_bad_choices_are_named(inspector):
    for choice, says in (
        ({"perturbation": "pdg"}, "did you mean 'pgd'"),
        ({"sample": 45}, "there are 45 forget samples"),
        ({"sample": -1}, "sample = -1"),
        ({"tau": -0.1}, "tau = -0.1"),
        ({"perturbation": "pgd", "tau": 0.1, "found_on": "RUKR"}, "did you mean 'RURK'"),
        ({"draw": -1}, "draw = -1"),
        ({"steps": 0}, "steps = 0"),
    ):
        with pytest.raises(InputError, match=says):
            inspector.view(**{"sample": 0, **choice})
    with pytest.raises(InputError, match="this run has 0"):
        Inspector(inspector.run, seed=4)


def test_every_model_and_the_global_random_state_are_left_as_found(
    inspector, left_as_found, same_random_state
):
    with same_random_state(), left_as_found(*inspector.models.values()):
        inspector.view(0, "pgd-l1", 2.0, 3, "GD", 4)
        inspector.view(0, "gaussian", 0.2)


def test_names_of_perturbations():
    named = {perturbation_named(k, n, a) for k in ("uniform", "PGD") for n in KINDS[k]
             for a in AIMS}  # fmt: skip
    assert named == {n for n in PERTURBATIONS if n.startswith(("uniform", "pgd"))}
    assert perturbation_named("Gaussian", "L1", "away from y") == "gaussian"
    assert perturbation_named("FGSM", "L-inf", "away from y") == "fgsm-untargeted"
    assert other_aim("pgd-l1", False) == other_aim("pgd-l1-untargeted", False)
    assert other_aim("pgd-l1", False) == "pgd-l1-untargeted"
    assert other_aim("pgd-l1-untargeted", True) == "pgd-l1"
    assert other_aim("gaussian", False) == "gaussian"


def test_reaches_are_the_same_size_of_change_in_every_norm():
    assert reach("gaussian", [0, 0.2], 64) == pytest.approx(0.4)
    assert reach("pgd-untargeted", [0, 0.2], 64) == pytest.approx(0.4)
    assert reach("pgd-l2-untargeted", [0, 0.2], 64) == pytest.approx(3.2)
    assert reach("uniform-l1", [0, 0.2], 64) == pytest.approx(25.6)
