"""AMUN, BoundaryShrink and JiT: the copies that they look at, and one step by hand."""

import pytest
import torch

from rurklib import unlearn
from rurklib.perturb import norm, pgd
from rurklib.unlearn import neighbours
from rurklib.unlearn.neighbours import DOUBLINGS, nearest_adversarial, nearest_labels

FREE = {"bounds": None}


@pytest.mark.parametrize("epsilon", [0.003, 0.5])
def test_on_a_linear_model_they_are_at_the_boundary(epsilon, linear, rng):
    """Two classes: the boundary is at |z_0 - z_1| / ||w_0 - w_1|| in L2. Fails with the first ball
    that holds one, up to twice as far, with another norm, or with a first radius that matters."""
    net = linear(6, seed=1)
    x = torch.rand(40, 6, generator=rng(2), dtype=torch.float64)
    y = net(x).argmax(1)
    near, said, distance = nearest_adversarial(net, x, y, epsilon=epsilon, **FREE)
    w, z = net[1].weight, net(x)
    exact = ((z[:, 0] - z[:, 1]).abs() / (w[0] - w[1]).norm()).detach()
    assert exact.max() > 10 * exact.min()
    torch.testing.assert_close(distance, exact, rtol=0.02, atol=5e-4)
    assert bool((distance >= exact * (1 - 1e-9)).all())
    torch.testing.assert_close(norm(near - x, 2), distance)
    assert torch.equal(said, 1 - y)
    assert torch.equal(net(near).argmax(1), said)


def test_examples_are_inside_the_bounds_wrong_and_nearer_than_pgd_on_a_net(cnn, images):
    """Fails if the box is ignored, the label is the true one, or the mode of the model matters; or
    if the smallest ball of a fine grid in which PGD finds something is smaller by a tenth."""
    model, (x, _) = cnn().train(), images(24)
    y = model.eval()(x).argmax(1)
    near, said, distance = nearest_adversarial(model.train(), x, y)
    assert model.training
    assert bool(distance.isfinite().all())
    assert float(near.min()) >= 0
    assert float(near.max()) <= 1
    assert bool((said != y).all())
    assert torch.equal(model.eval()(near).argmax(1), said)
    torch.testing.assert_close(norm(near - x, 2), distance, atol=1e-5, rtol=1e-4)
    for share in (0.6, 0.75, 0.9):
        for i in range(len(x)):
            ball = share * float(distance[i])
            other = pgd(model, x[i : i + 1], y[i : i + 1], ball, p=2, steps=50)
            assert int(model(other).argmax(1)) == int(y[i]), (share, i)


def test_a_net_that_always_answers_alike_has_no_examples_and_they_are_left_out(
    linear, rng, monkeypatch, same
):
    """Fails if the search never ends, or a forget sample is taught with its own label as if it
    were an adversarial one."""
    monkeypatch.setattr(neighbours, "DOUBLINGS", 3)
    net = linear([[0.0, 0.0], [0.0, 0.0]], [2.0, -1.0])
    x = torch.rand(8, 2, generator=rng(0), dtype=torch.float64)
    y = torch.zeros(8, dtype=torch.int64)
    near, said, distance = nearest_adversarial(net, x, y, epsilon=0.1)
    assert torch.equal(near, x)
    assert torch.equal(said, y)
    assert bool(distance.isinf().all())
    retain, forget = (x[:5], y[:5]), (x[5:], y[5:])
    options = {"epochs": 2, "lr": 0.3, "weight_decay": 0.0, "seed": 3}
    got = unlearn("AMUN", net, retain, forget, true_labels=False, **options)
    assert same(got, unlearn("GD", net, retain, forget, **options))
    assert DOUBLINGS >= 12  # from 0.1 past the diameter of a 32x32 colour image, 55


def test_the_label_is_that_across_the_boundary_not_the_runner_up(linear):
    """At x = 0 class 1 is second (z = 2, 1.5, 1), but the boundary to class 2 is nearer: it is a
    steep one. A step of 0.1 against class 0 gives z = (1.9, 1.5 - 0.1, 1 + 1)."""
    net = linear([[1.0], [1.0], [-10.0]], [2.0, 1.5, 1.0])
    x, y = torch.zeros(1, 1, dtype=torch.float64), torch.tensor([0])
    assert nearest_labels(net, x, y, tau=0.1, bounds=None).tolist() == [2]
    assert nearest_labels(net, x, y, tau=0.0, bounds=None).tolist() == [1]
