"""JiT: its quotient and one step of each reading in closed form, and what becomes flat."""

import pytest
import torch
from torch import nn

from rurklib import unlearn
from rurklib.perturb.noise import normal
from rurklib.tensors import generator, seeded
from rurklib.unlearn.jit import lipschitz

BARE = {"momentum": 0.0, "weight_decay": 0.0, "bounds": None}


def draws(x, tau, v, seed):
    return [normal(x, tau, g) for g in [generator(seed, 3)] for _ in range(v)]


def test_of_a_multiple_of_the_identity_it_is_that_multiple(linear, rng):
    """||3 x - 3 x'|| / ||x - x'|| = 3, at the bounds too. Fails if the quotient is of squares, a
    sum over samples, or has the noise below it that clipping took away."""
    net = linear([[3.0, 0.0], [0.0, 3.0]], [1.0, -2.0])
    x = torch.tensor([[0.0, 0.4], [0.5, 0.5], [0.6, 1.0]], dtype=torch.float64)
    for tau in (0.001, 0.05):
        k = lipschitz(net, x, tau=tau, v=40, generator=rng(0))
        torch.testing.assert_close(k, torch.tensor(3.0, dtype=torch.float64))


@pytest.mark.parametrize("gradient", ["clean", "both"])
def test_one_step_by_hand(gradient, flat_task):
    """z = W x, so k = ||W e|| / ||e|| with e = x' - x. Its gradient in W is u e^T / ||e|| where
    both learn, and -u x^T / ||e|| where m(x') is a constant, u = W e / ||W e||. Fails if a reading
    is the other one, if copies are averaged before the quotient, or retain samples or labels take
    part."""
    net, retain, (x, y) = flat_task
    options = {**BARE, "lr": 0.2, "tau": 0.1, "v": 5, "seed": 4, "gradient": gradient}
    out = unlearn("JiT", net, retain, (x, (y + 1) % 2), **options)
    (order,) = [torch.randperm(4, generator=generator(4, 1))]  # noise is for samples as they come
    w, step = net.weight.detach(), torch.zeros(2, 3, dtype=torch.float64)
    for e in draws(x, 0.1, 5, seed=4):
        u = nn.functional.normalize(e @ w.T, dim=1) / e.norm(dim=1, keepdim=True)
        step += (u.T @ e if gradient == "both" else -u.T @ x[order]) / 4 / 5
    assert torch.allclose(out.weight, w - 0.2 * step, atol=1e-12)


def test_the_net_becomes_flat_around_forget_samples_if_both_learn(task):
    """On copies of other noise than it learnt with. Fails with ascent, or without the copies."""
    model, retain, forget = task
    options = {"lr": 0.1, "epochs": 20, "batchnorm": "frozen", "tau": 0.1}
    out = unlearn("JiT", model, retain, forget, gradient="both", **options)
    before, after = (
        float(lipschitz(net, forget[0], tau=0.1, generator=generator(9)).detach())
        for net in (model, out)
    )
    assert after < 0.8 * before


def test_a_copy_that_clipping_takes_back_counts_nothing(linear, rng):
    """One black pixel: half of its copies are itself. Fails with 0 / 0."""
    net = linear([[2.0], [0.0]])
    x = torch.zeros(64, 1, dtype=torch.float64)
    k = lipschitz(net, x, tau=0.1, v=8, generator=rng(0))
    assert 0.8 < float(k.detach()) < 1.2


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(4), nn.Dropout(0.5)])
def test_nor_does_it_where_train_mode_gives_it_other_logits(layer):
    """Binary inputs on their bounds: copies of whole samples come back. Fails with weights of 1e34,
    for what a batch's statistics or dropout change was divided by next to nothing."""
    with seeded(0):
        net = nn.Sequential(nn.Linear(4, 4), layer, nn.Linear(4, 2))
        x = torch.randint(0, 2, (8, 4)).float()
    y = torch.arange(8) % 2
    forgot = unlearn("JiT", net, (torch.full((8, 4), 0.5), y), (x, y), seed=0)
    assert max(float(p.detach().abs().max()) for p in forgot.parameters()) < 10
