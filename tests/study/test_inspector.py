"""What the inspector shows is what was measured: the same copies, the same answers."""

import numpy as np
import pytest
import torch
from scipy.stats.contingency import relative_risk

from rurklib import study
from rurklib.edits import check_texts
from rurklib.perturb import PERTURBATIONS
from rurklib.study.inspector import (
    AIMS,
    KINDS,
    NORMS,
    Inspector,
    perturbation_named,
    radius,
    ratio_so_far,
    running,
)

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
    assert v.names == ("Original", "Re-train", "GD", "RURK")
    assert v.row("Re-train").shape == (3, 10)


@pytest.mark.parametrize("perturbation", ON_IMAGES)
def test_distances_are_those_of_the_perturbation(inspector, perturbation):
    v, parts = inspector.view(2, perturbation, 0.1, 1), perturbation.split("-")
    assert v.distances["L-inf"] <= v.distances["L2"] <= v.distances["L1"]
    if perturbation != "gaussian":
        norm = "L1" if "l1" in parts else "L2" if "l2" in parts else "L-inf"
        assert v.distances[norm] <= 0.1 + 1e-6
    assert not inspector.view(1, perturbation, 0.0, 4).difference.any()


def test_each_choice_changes_the_copy_and_an_idle_one_does_not(inspector):
    base = {"sample": 4, "perturbation": "pgd-l2", "tau": 0.5, "draw": 0, "found_on": "GD"}
    first = inspector.view(**base, steps=10).copy
    for change in ({"draw": 1}, {"found_on": "Re-train 1000"}, {"steps": 2}, {"tau": 0.4}):
        assert (inspector.view(**base | change).copy != first).any(), change
    noise = base | {"perturbation": "gaussian", "tau": 0.1}
    same = inspector.view(**noise | {"found_on": "RURK", "steps": 3})
    np.testing.assert_array_equal(same.copy, inspector.view(**noise).copy)


def test_samples_are_ordered_by_their_ratio(inspector):
    """One that Original alone knows comes first, and one that nobody knows last."""
    hits = study.residual(inspector.run, "gaussian").counts.hits
    theirs = np.mean([hits["Re-train", k][1:].sum(0) for k in (1000, 1001, 1002)], 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        by_hand = hits["Original", 0][1:].sum(0) / theirs
    known = theirs > 0
    np.testing.assert_allclose(inspector.ratios[known], by_hand[known])
    fresh = Inspector(inspector.run)
    fresh.hits = np.array([2, 5, 0, 0, 4]), np.array([[2, 0, 0, 3, 1], [2, 0, 0, 3, 1]])
    np.testing.assert_array_equal(fresh.ratios, [1, np.nan, np.nan, 0, 4])
    np.testing.assert_array_equal(fresh.order, [1, 4, 0, 3, 2])


def test_every_model_and_the_global_random_state_are_left_as_found(
    inspector, left_as_found, same_random_state
):
    with same_random_state(), left_as_found(*inspector.models.values()):
        inspector.view(0, "pgd-l1", 2.0, 3, "GD", 4)


def test_names_of_perturbations_and_radii_of_the_same_size():
    words = [(kind, norm, aim) for kind in KINDS for norm in NORMS for aim in AIMS]
    named = {perturbation_named(*each) for each in words}
    assert named == {n for n in ON_IMAGES if n.startswith(("gaussian", "uniform", "fgsm", "pgd"))}
    sizes = {"gaussian": 0.4, "pgd-untargeted": 0.4, "pgd-l2-untargeted": 3.2, "uniform-l1": 25.6}
    assert {name: radius(name, 0.4, 64) for name in sizes} == pytest.approx(sizes)


# --- draw by draw ---------------------------------------------------------------------------------


def test_after_all_draws_the_hits_are_the_counts(inspector):
    counts = study.residual(inspector.run, "gaussian").counts
    theirs = np.mean([counts.hits["Re-train", k] for k in (1000, 1001, 1002)], 0)
    for sample in (0, 9, 30):
        rows = running(inspector, sample, "gaussian", 0.2, model="GD")
        assert len(rows) == inspector.run.scenario.draws
        last = rows.iloc[-1]
        assert last.hits == counts.hits["GD", 0][2, sample]
        assert last.reference_hits == pytest.approx(theirs[2, sample])


def test_a_reference_is_not_compared_with_itself_nor_with_one_copies_were_found_on(inspector):
    every = inspector.references
    assert inspector.others("gaussian", "Re-train 1000", "Re-train 1001") == every[::2]
    assert inspector.others("pgd-l2", "Re-train 1000", "GD") == every[1:]
    assert inspector.others("gaussian", "Re-train 1000", "GD") == every


@pytest.mark.parametrize(("perturbation", "tau"), [("fgsm", 0.1), ("gaussian", 0.0)])
def test_without_chance_one_draw_is_certain(inspector, perturbation, tau):
    (only,) = running(inspector, 0, perturbation, tau).itertuples()
    assert only.low == only.ratio == only.high or np.isnan(only.ratio)


def test_zero_denominators_and_few_draws():
    """Fails for a plain delta method, whose variance is 0 while nothing has varied yet."""
    found = np.stack(ratio_so_far(np.ones(3, bool), np.array([[0, 0, 1], [0, 0, 0]], bool)))
    assert np.isnan(found[:, :2]).all()
    assert found[0, 2] == pytest.approx(6.0)  # 3 of 3 against 1/6
    ones = np.ones(40, bool)
    ratio, low, high = ratio_so_far(ones, ones[None])
    np.testing.assert_array_equal(ratio, 1)
    assert low[0] < 0.5
    assert high[0] > 2
    assert (np.diff(high - low) < 0).all()


def test_the_interval_is_scipys_of_shares_with_two_hits_and_misses_added():
    model, other = np.arange(60) % 3 > 0, np.arange(60) % 2 > 0
    _, low, high = ratio_so_far(model, other[None])
    theirs = relative_risk(42, 64, 32, 64).confidence_interval(0.95)
    np.testing.assert_allclose([low[-1], high[-1]], [theirs.low, theirs.high], rtol=1e-3)


@pytest.mark.parametrize("together", [0.0, 0.8])
@pytest.mark.parametrize(("p", "q", "k"), [(0.8, 0.5, 1), (0.95, 0.9, 1), (0.5, 0.7, 6)])
def test_it_covers(p, q, k, together):
    """95 % nominal, at 40 draws; ``together`` is the share of draws that all models share."""
    rng = np.random.default_rng(0)
    inside = []
    for _ in range(400):
        common = rng.random(40) < together
        u = np.where(common, rng.random(40), rng.random((k + 1, 40)))
        _, low, high = ratio_so_far(u[0] < p, u[1:] < q)
        inside.append(low[-1] <= p / q <= high[-1])
    assert np.mean(inside) > 0.93
