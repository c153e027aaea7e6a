"""AMUN: adversarial examples whose distance is known on linear models, and what is learnt."""

import pytest
import torch

from rurklib import unlearn
from rurklib.perturb.ball import norm
from rurklib.perturb.gradient import pgd
from rurklib.unlearn import amun
from rurklib.unlearn.amun import DOUBLINGS, nearest_adversarial

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
            other = pgd(model, x[i : i + 1], y[i : i + 1], ball, p=2, steps=50, random_start=False)
            assert int(model(other).argmax(1)) == int(y[i]), (share, i)


def test_a_sample_that_is_wrong_already_is_its_own_neighbour(linear):
    net = linear([[1.0, 0.0], [0.0, 1.0]])
    x = torch.tensor([[0.8, 0.1]], dtype=torch.float64)
    near, said, distance = nearest_adversarial(net, x, torch.tensor([1]))
    assert said.tolist() == [0]
    assert distance.tolist() == [0.0]
    assert torch.equal(near, x)


def test_a_net_that_always_answers_alike_has_no_examples_and_they_are_left_out(
    linear, rng, monkeypatch, same
):
    """Fails if the search never ends, or a forget sample is taught with its own label as if it
    were an adversarial one."""
    monkeypatch.setattr(amun, "DOUBLINGS", 3)
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


@pytest.mark.parametrize("true_labels", [True, False])
def test_it_is_gd_on_retain_the_examples_and_the_forget_set_if_asked(true_labels, task, same):
    """To the bit. Fails if the examples are found anew, carry the true label, or a set is left
    out."""
    model, retain, (xf, yf) = task
    near, said, distance = nearest_adversarial(model, xf, yf, epsilon=0.2, steps=7)
    assert bool(distance.isfinite().all())
    parts = [retain, (near, said), *([(xf, yf)] if true_labels else [])]
    union = tuple(torch.cat(both) for both in zip(*parts, strict=True))
    options = {"epochs": 3, "lr": 0.05, "weight_decay": 5e-4, "batch_size": 5, "seed": 7}
    got = unlearn(
        "AMUN", model, retain, (xf, yf), true_labels=true_labels, epsilon=0.2, steps=7, **options
    )
    assert same(got, unlearn("GD", model, union, (1 - xf * 0.5, yf), **options))
