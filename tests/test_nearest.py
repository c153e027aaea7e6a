"""The nearest copy: on linear models the exact distance is known; on nets, foolbox's."""

import math
import warnings

import pytest
import torch

from rurklib.nearest import _Best, ddn
from rurklib.perturb import norm


def exact(model, x, y):
    """Signed margin over the norm of the difference of the two classes' weights."""
    w = model[1].weight.detach()
    z = model(x).detach()
    gap = (z[:, 0] - z[:, 1]) * (1 - 2 * y)
    return gap / torch.linalg.vector_norm(w[0] - w[1])


@pytest.mark.parametrize("d", [4, 64, 300])
def test_on_a_linear_model_the_signed_distance_is_exact(d, linear, rng):
    """Both kinds at once: half of the labels are what the model says, half aren't.
    Catches a wrong sign, a search in one direction only, and one that stops early."""
    model = linear(d, seed=d)
    x = torch.randn(24, d, generator=rng(1), dtype=torch.float64)
    y = torch.arange(24) % 2
    found = ddn(model, x, y, bounds=None)
    wanted = exact(model, x, y)
    assert 0 < int(found.before.sum()) < 24
    assert torch.equal(found.before, wanted > 0)
    assert ((found.signed / wanted) >= 1 - 1e-6).all()  # nothing is nearer than the nearest
    torch.testing.assert_close(found.signed, wanted, rtol=0.02, atol=5e-4)
    torch.testing.assert_close(norm(found.copies - x, 2), found.distance)
    assert ((model(found.copies).argmax(1) == y) != found.before).all()


def test_the_search_is_near_before_the_way_is_halved(linear, rng, monkeypatch):
    """Fails if the norm isn't set."""
    monkeypatch.setattr("rurklib.nearest.HALVINGS", 0)
    model = linear(64, seed=3)
    x = torch.randn(16, 64, generator=rng(1), dtype=torch.float64)
    y = torch.arange(16) % 2
    ratio = ddn(model, x, y, steps=60, bounds=None).signed / exact(model, x, y)
    assert (ratio >= 1 - 1e-6).all()
    assert ratio.median() < 1.1


def test_the_best_so_far_is_the_smallest_that_changed_the_answer(linear):
    """The model says class 0 where the first number is above 0, which all but the last sample want
    to leave; a larger change and one that changed nothing are passed over."""
    x = torch.tensor([[0.5, 0.5], [2.5, 2.5], [9.0, 9.0]])
    model = linear([[1.0, 0.0], [0.0, 0.0]], dtype=torch.float32)
    best = _Best(model, x, torch.zeros(3, dtype=torch.int64))
    for size in (3.0, 0.4, 2.0, 2.7):
        best.update(torch.full((3, 2), -size))
    assert best.distance.tolist() == pytest.approx([2 * math.sqrt(2), 2.7 * math.sqrt(2), math.inf])
    assert best.d[:, 0].tolist() == pytest.approx([-2.0, -2.7, 0.0])


def test_with_several_classes_it_comes_near_the_nearest_border(linear, rng):
    w = torch.randn(5, 30, generator=rng(0), dtype=torch.float64)
    model = linear(w)
    x = torch.randn(40, 30, generator=rng(1), dtype=torch.float64)
    y = model(x).argmax(1)
    z = model(x).detach()
    to_each = (z.gather(1, y[:, None]) - z) / torch.linalg.vector_norm(w[y][:, None] - w, dim=2)
    nearest = to_each.nan_to_num(nan=math.inf).amin(1)
    ratio = ddn(model, x, y, bounds=None).distance / nearest
    assert ratio.min() > 1 - 1e-6
    assert ratio.median() < 1.01
    assert ratio.max() < 1.2


def test_copies_stay_inside_the_bounds_and_cost_more_there(linear):
    """The first coordinate, of most weight, has no room: the others must do it.

    w = (3, 1), x = (0, 0.8), bias -0.3, margin 0.5: freely it is 0.5 / sqrt(10); with the first
    coordinate at its bound it is 0.5."""
    model = linear([[3.0, 1.0], [0.0, 0.0]], [-0.3, 0.0])
    x = torch.tensor([[0.0, 0.8]], dtype=torch.float64)
    y = torch.tensor([0])
    found = ddn(model, x, y, bounds=(0.0, 1.0))
    assert found.copies.min() >= 0
    assert found.copies.max() <= 1
    assert float(found.distance) == pytest.approx(0.5, rel=0.02)
    free = ddn(model, x, y, bounds=None).distance
    assert float(free) == pytest.approx(0.5 / math.sqrt(10), rel=0.02)


def test_where_nothing_is_to_be_found_the_distance_is_infinite(linear):
    model = linear(torch.zeros(2, 4), [2.0, 0.0], dtype=torch.float32)
    x, y = torch.rand(2, 4), torch.tensor([0, 1])
    found = ddn(model, x, y, steps=5)
    assert torch.isinf(found.distance).all()
    assert found.signed.tolist() == [math.inf, -math.inf]
    assert torch.equal(found.copies, x)


def test_a_samples_result_does_not_depend_on_its_batch_nor_the_logits_scale(cnn, images):
    model, (x, y) = cnn(), images(6)
    together = ddn(model, x, y, steps=15)
    alone = ddn(model, x[2:3], y[2:3], steps=15)
    torch.testing.assert_close(together.distance[2:3], alone.distance, rtol=1e-3, atol=1e-5)


def test_more_steps_are_not_worse_by_much_and_models_are_left_as_found(
    cnn, images, left_as_found, same_random_state
):
    model, (x, y) = cnn().train(), images(8)
    with left_as_found(model), same_random_state():
        few, many = (ddn(model, x, y, steps=steps).distance for steps in (5, 40))
    both = few.isfinite() & many.isfinite()
    assert (many[both] <= few[both] * 1.05 + 1e-6).all()
    assert many.isfinite().sum() >= few.isfinite().sum()


def test_against_foolbox(cnn, images):
    """At equal steps, no worse on average than foolbox's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        foolbox = pytest.importorskip("foolbox", reason="the reference: pip install foolbox")
    model, (x, _) = cnn(), images(20)
    y = model(x).argmax(1)
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    copies, _, found = foolbox.attacks.DDNAttack(steps=40)(wrapped, x, y, epsilons=None)
    reference = norm(copies - x, 2)
    distance = ddn(model, x, y, steps=40).distance
    assert found.all()
    assert distance.mean() <= 1.02 * reference.mean()
    assert (distance <= 1.3 * reference).all()
