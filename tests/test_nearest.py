"""The nearest copy: on linear models the exact distance is known; on nets, foolbox's."""

import math
import warnings

import pytest
import torch

from rurklib.nearest import ddn
from rurklib.perturb import norm


@pytest.mark.parametrize("d", [4, 64, 300])
@pytest.mark.parametrize(("halvings", "most"), [(12, 1.02), (0, 1.6)])
def test_on_a_linear_model_the_signed_distance_is_exact(
    d, halvings, most, linear, rng, monkeypatch
):
    """Margin over the norm of the difference of the two classes' weights; half of the labels are
    what the model says. Catches a wrong sign, a search in one direction only, one that stops early,
    and a norm that isn't set (the search is near before the way is halved)."""
    monkeypatch.setattr("rurklib.nearest.HALVINGS", halvings)
    model = linear(d, seed=d)
    x, y = torch.randn(24, d, generator=rng(1), dtype=torch.float64), torch.arange(24) % 2
    copies, signed = ddn(model, x, y, bounds=None)
    w, z = model[1].weight.detach(), model(x).detach()
    wanted = (z[:, 0] - z[:, 1]) * (1 - 2 * y) / torch.linalg.vector_norm(w[0] - w[1])
    ratio = signed / wanted
    assert ratio.min() >= 1 - 1e-6  # nothing is nearer than the nearest
    assert ratio.median() < most
    assert 0 < (signed > 0).sum() < 24
    torch.testing.assert_close(norm(copies - x, 2), signed.abs())
    assert ((model(copies).argmax(1) == y) == (signed < 0)).all()


def test_with_several_classes_it_comes_near_the_nearest_border(linear, rng):
    w = torch.randn(5, 30, generator=rng(0), dtype=torch.float64)
    model, x = linear(w), torch.randn(40, 30, generator=rng(1), dtype=torch.float64)
    z = model(x).detach()
    y = z.argmax(1)
    to_each = (z.gather(1, y[:, None]) - z) / torch.linalg.vector_norm(w[y][:, None] - w, dim=2)
    ratio = ddn(model, x, y, bounds=None)[1] / to_each.nan_to_num(nan=math.inf).amin(1)
    assert ratio.min() > 1 - 1e-6
    assert ratio.median() < 1.01
    assert ratio.max() < 1.2


def test_copies_stay_inside_the_bounds_and_cost_more_there(linear):
    """w = (3, 1), x = (0, 0.8), bias -0.3, margin 0.5: freely it is 0.5 / sqrt(10); with the first
    coordinate at its bound it is 0.5."""
    model = linear([[3.0, 1.0], [0.0, 0.0]], [-0.3, 0.0])
    x, y = torch.tensor([[0.0, 0.8]], dtype=torch.float64), torch.tensor([0])
    copies, signed = ddn(model, x, y, bounds=(0.0, 1.0))
    assert copies.min() >= 0
    assert float(signed) == pytest.approx(0.5, rel=0.02)
    assert float(ddn(model, x, y, bounds=None)[1]) == pytest.approx(0.5 / math.sqrt(10), rel=0.02)


def test_where_nothing_is_found_the_distance_is_infinite_and_the_copy_the_sample(linear):
    model = linear(torch.zeros(2, 4), [2.0, 0.0], dtype=torch.float32)
    x = torch.rand(2, 4)
    copies, signed = ddn(model, x, torch.tensor([0, 1]), steps=5)
    assert signed.tolist() == [math.inf, -math.inf]
    assert torch.equal(copies, x)


def test_against_foolbox(cnn, images, left_as_found, same_random_state):
    """At equal steps, no worse on average than foolbox's; and a sample's result doesn't depend on
    its batch, nor the model on having been asked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        foolbox = pytest.importorskip("foolbox", reason="the reference: pip install foolbox")
    model, (x, _) = cnn(), images(20)
    y = model(x).argmax(1)
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    copies, _, found = foolbox.attacks.DDNAttack(steps=40)(wrapped, x, y, epsilons=None)
    reference = norm(copies - x, 2)
    with left_as_found(model.train()), same_random_state():
        _, distance = ddn(model, x, y, steps=40)
        _, alone = ddn(model, x[2:3], y[2:3], steps=40)
    assert found.all()
    assert distance.mean() <= 1.02 * reference.mean()
    assert (distance <= 1.3 * reference).all()
    torch.testing.assert_close(distance[2:3], alone, rtol=1e-3, atol=1e-5)
