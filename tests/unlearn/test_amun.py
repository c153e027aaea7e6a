"""AMUN: adversarial examples whose distance is known on linear models, and what is learnt."""

import pytest
import torch

from rurklib import unlearn
from rurklib.perturb.ball import norm
from rurklib.unlearn import amun
from rurklib.unlearn.amun import DOUBLINGS, nearest_adversarial

FREE = {"bounds": None}


def test_on_a_linear_model_the_ball_is_the_first_that_reaches_the_boundary(linear, rng):
    """Two classes: the boundary is at |z_0 - z_1| / ||w_0 - w_1|| in L2. The radius is the first
    epsilon 2^k beyond it, so x' is misclassified and less than twice as far as it need be.
    Fails with a ball of another norm, a search that stops early or skips a radius."""
    net = linear(6, seed=1)
    x = torch.rand(40, 6, generator=rng(2), dtype=torch.float64)
    y = net(x).argmax(1)
    near, said, radius = nearest_adversarial(net, x, y, epsilon=0.01, steps=20, **FREE)
    w = net[1].weight
    z = net(x)
    distance = (z[:, 0] - z[:, 1]).abs() / (w[0] - w[1]).norm()
    expected = 0.01 * 2 ** torch.ceil(torch.log2(distance / 0.01)).clamp(min=0)
    assert len(expected.unique()) >= 4
    assert torch.equal(radius, expected.detach())
    assert bool((net(near).argmax(1) == said).all())
    assert torch.equal(said, 1 - y)
    gone = norm(near - x, 2)
    assert bool((gone <= radius * (1 + 1e-9)).all())
    assert bool((gone >= distance).all())


def test_examples_are_inside_the_bounds_and_wrong_on_a_net(cnn, images):
    """Fails if the box is ignored, the label is the true one, or the mode of the model matters."""
    model, (x, _) = cnn().train(), images(24)
    y = model.eval()(x).argmax(1)
    near, said, radius = nearest_adversarial(model.train(), x, y, epsilon=0.05, steps=10)
    assert model.training
    assert bool(radius.isfinite().all())
    assert float(near.min()) >= 0
    assert float(near.max()) <= 1
    assert bool((said != y).all())
    assert torch.equal(model.eval()(near).argmax(1), said)
    assert bool((norm(near - x, 2) <= radius * 1.0001).all())


def test_a_sample_that_is_wrong_already_stays_near(linear):
    net = linear([[1.0, 0.0], [0.0, 1.0]])
    x = torch.tensor([[0.8, 0.1]], dtype=torch.float64)
    near, said, radius = nearest_adversarial(net, x, torch.tensor([1]), epsilon=0.01)
    assert said.tolist() == [0]
    assert radius.tolist() == [0.01]
    assert float(norm(near - x, 2)) <= 0.01


def test_a_net_that_always_answers_alike_has_no_examples_and_they_are_left_out(
    linear, rng, monkeypatch, same
):
    """Fails if the search never ends, or a forget sample is taught with its own label as if it
    were an adversarial one."""
    monkeypatch.setattr(amun, "DOUBLINGS", 3)
    net = linear([[0.0, 0.0], [0.0, 0.0]], [2.0, -1.0])
    x = torch.rand(8, 2, generator=rng(0), dtype=torch.float64)
    y = torch.zeros(8, dtype=torch.int64)
    near, said, radius = nearest_adversarial(net, x, y, epsilon=0.1)
    assert torch.equal(near, x)
    assert torch.equal(said, y)
    assert bool(radius.isinf().all())
    retain, forget = (x[:5], y[:5]), (x[5:], y[5:])
    options = {"epochs": 2, "lr": 0.3, "weight_decay": 0.0, "seed": 3}
    got = unlearn("AMUN", net, retain, forget, true_labels=False, **options)
    assert same(got, unlearn("GD", net, retain, forget, **options))
    assert DOUBLINGS >= 12  # from 0.1 past the diameter of a 32x32 colour image, 55


@pytest.mark.parametrize("true_labels", [True, False])
def test_it_is_gd_on_retain_the_examples_and_the_forget_set_if_asked(true_labels, task, same):
    """To the bit. Fails if the examples are found anew, carry the true label, or a set is left
    out."""
    model, retain, (xf, yf) = task
    near, said, radius = nearest_adversarial(model, xf, yf, epsilon=0.2, steps=7)
    assert bool(radius.isfinite().all())
    parts = [retain, (near, said), *([(xf, yf)] if true_labels else [])]
    union = tuple(torch.cat(both) for both in zip(*parts, strict=True))
    options = {"epochs": 3, "lr": 0.05, "weight_decay": 5e-4, "batch_size": 5, "seed": 7}
    got = unlearn(
        "AMUN", model, retain, (xf, yf), true_labels=true_labels, epsilon=0.2, steps=7, **options
    )
    assert same(got, unlearn("GD", model, union, (1 - xf * 0.5, yf), **options))
