"""What the inspector shows is what was measured: the same copies, the same answers."""

import numpy as np
import pytest
import torch

from rurklib import study
from rurklib.edits import check_texts
from rurklib.perturb import PERTURBATIONS
from rurklib.study.inspector.view import AIMS, KINDS, Inspector, perturbation_named, reach

LABEL = {"Original": ("Original", 0), "GD": ("GD", 0), "Re-train 1001": ("Re-train", 1001)}
ON_IMAGES = [name for name, rule in PERTURBATIONS.items() if rule.check is not check_texts]


@pytest.mark.parametrize(
    ("perturbation", "model", "some"),
    [
        ("gaussian", "Original", (0, 7, 44)),
        ("gaussian", "Re-train 1001", (7,)),
        ("pgd-l2", "GD", (44,)),
        ("pgd-l2", "Re-train 1001", (7,)),
    ],
)
def test_draws_of_the_inspector_are_those_of_the_counts(inspector, perturbation, model, some):
    """Recognised copies over all draws are exactly the hits that the study counted."""
    counts = study.residual(inspector.run, perturbation).counts
    taus, draws = inspector.run.scenario.taus, inspector.run.scenario.draws
    for sample in some:
        views = [inspector.view(sample, perturbation, taus[2], i, model) for i in range(draws)]
        hits = sum(v.recognised[v.models.index(model)] for v in views)
        assert hits == counts.hits[LABEL[model]][2, sample]
        if model != "Re-train 1001":
            theirs = sum(v.recognised[v.models.index("Re-train 1002")] for v in views)
            others = counts.on.get(LABEL[model], counts.hits)
            assert theirs == others["Re-train", 1002][2, sample]


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


@pytest.mark.parametrize("perturbation", ON_IMAGES)
def test_distances_are_those_of_the_perturbation(inspector, perturbation):
    v, parts = inspector.view(2, perturbation, 0.1, 1), perturbation.split("-")
    assert v.distances["L-inf"] <= v.distances["L2"] <= v.distances["L1"]
    if perturbation != "gaussian":
        norm = "L1" if "l1" in parts else "L2" if "l2" in parts else "L-inf"
        assert v.distances[norm] <= 0.1 + 1e-6
    l2 = float(torch.tensor(v.difference).norm())
    assert v.distances["L2"] == pytest.approx(l2, rel=1e-3)
    assert not inspector.view(1, perturbation, 0.0, 4).difference.any()


def test_each_choice_changes_the_copy_and_an_idle_one_does_not(inspector):
    base = {"sample": 4, "perturbation": "pgd-l2", "tau": 0.5, "draw": 0, "found_on": "GD"}
    first = inspector.view(**base, steps=10).copy
    np.testing.assert_array_equal(first, inspector.view(**base).copy)
    for change in ({"draw": 1}, {"found_on": "Re-train 1000"}, {"steps": 2}, {"tau": 0.4}):
        assert (inspector.view(**base | change).copy != first).any(), change
    noise = base | {"perturbation": "gaussian", "tau": 0.1}
    same = inspector.view(**noise | {"found_on": "RURK", "steps": 3})
    np.testing.assert_array_equal(same.copy, inspector.view(**noise).copy)
    assert same.found_on == ""
    assert inspector.view(4, "fgsm", 0.1).distances["L-inf"] == pytest.approx(0.1, abs=1e-6)


def test_samples_are_ordered_by_their_ratio(inspector):
    hits = study.residual(inspector.run, "gaussian").counts.hits
    own = hits["Original", 0][1:].sum(0)
    theirs = np.mean([hits["Re-train", k][1:].sum(0) for k in (1000, 1001, 1002)], 0)
    by_hand = np.array([a / b if b else np.nan for a, b in zip(own, theirs, strict=True)])
    np.testing.assert_allclose(inspector.ratios, by_hand)
    assert sorted(inspector.order) == list(range(45))
    shown = inspector.ratios[inspector.order]
    assert (np.diff(shown[~np.isnan(shown)]) <= 0).all()


def test_a_sample_that_only_original_knows_comes_first_and_one_nobody_knows_last(inspector):
    fresh = Inspector(inspector.run)
    own, others = np.array([2, 5, 0, 0, 4]), np.array([[2, 0, 0, 3, 1], [2, 0, 0, 3, 1]])
    fresh.hits = lambda name: (own, others)
    np.testing.assert_array_equal(fresh.ratios, [1, np.nan, np.nan, 0, 4])
    np.testing.assert_array_equal(fresh.order, [1, 4, 0, 3, 2])


def test_every_model_and_the_global_random_state_are_left_as_found(
    inspector, left_as_found, same_random_state
):
    with same_random_state(), left_as_found(*inspector.models.values()):
        inspector.view(0, "pgd-l1", 2.0, 3, "GD", 4)
        inspector.view(0, "gaussian", 0.2)


def test_names_of_perturbations():
    words = [(kind, norm, aim) for kind in KINDS for norm in KINDS[kind] for aim in AIMS]
    named = {perturbation_named(*each) for each in words}
    assert named == {n for n in ON_IMAGES if n.startswith(("uniform", "fgsm", "pgd"))}
    assert perturbation_named("PGD", "L2", "away from y") == "pgd-l2-untargeted"
    assert perturbation_named("Gaussian", "L1", "away from y") == "gaussian"


@pytest.mark.parametrize(
    ("perturbation", "most"),
    [("gaussian", 0.4), ("pgd-untargeted", 0.4), ("pgd-l2-untargeted", 3.2), ("uniform-l1", 25.6)],
)
def test_reaches_are_the_same_size_of_change_in_every_norm(perturbation, most):
    assert reach(perturbation, [0, 0.2], 64) == pytest.approx(most)
