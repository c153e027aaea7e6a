"""The loop: batches, schedule, clipping, and which layers learn."""

import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rurklib.train import SGD, batches, cycled, fit


@settings(max_examples=50, deadline=None)
@given(n=st.integers(1, 40), size=st.integers(1, 15), epochs=st.integers(1, 3))
def test_every_sample_once_a_pass_in_batches_of_nearly_equal_size(n, size, epochs):
    x = torch.arange(n, dtype=torch.float64)[:, None]
    gen = torch.Generator().manual_seed(n)
    pieces = list(batches(x, torch.arange(n), size=size, epochs=epochs, generator=gen))
    per_pass = math.ceil(n / size)
    assert len(pieces) == epochs * per_pass
    for e in range(epochs):
        one = pieces[e * per_pass : (e + 1) * per_pass]
        assert sorted(torch.cat([y for _, y in one]).tolist()) == list(range(n))
        sizes = [len(y) for _, y in one]
        assert max(sizes) <= size
        assert max(sizes) - min(sizes) <= 1
        assert all(torch.equal(xb[:, 0], yb.double()) for xb, yb in one)  # x stays with its y


def test_cycled_never_ends_and_uses_all_before_it_starts_over(rng):
    stream = cycled(torch.zeros(5, 1), torch.arange(5), size=2, generator=rng(0))
    labels = [next(stream)[1].tolist() for _ in range(9)]  # three passes of three batches
    for e in range(3):
        assert sorted(i for part in labels[3 * e : 3 * e + 3] for i in part) == list(range(5))
    assert labels[:3] != labels[3:6]


class Weight(nn.Module):
    """One weight; with loss = weight its gradient is 1, so every step has the length of the
    learning rate."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(1, dtype=torch.float64))


def path(steps, loss=lambda w: w, **options) -> list[float]:
    """The lengths of the steps taken."""
    net, seen = Weight(), []

    def recorded() -> torch.Tensor:
        seen.append(net.w.item())
        return loss(net.w).sum()

    sgd = SGD(momentum=0.0, weight_decay=0.0, **options)
    sgd.minimise(net, recorded, [()] * steps, steps=steps)
    seen.append(net.w.item())
    return [a - b for a, b in pairwise(seen)]


def test_a_constant_rate_is_plain_sgd_with_momentum_by_hand():
    """w <- w - lr m, m <- 0.9 m + 2 w, for loss w^2 from w = 1. Fails if the rate still falls, or
    the schedule reaches a method under another name."""
    w, m, expected = 1.0, 0.0, []
    for _ in range(6):
        m = 0.9 * m + 2 * w
        w -= 0.05 * m
        expected.append(w)
    seen, net = [], Weight()
    with torch.no_grad():
        net.w.fill_(1.0)

    def loss() -> torch.Tensor:
        seen.append(net.w.item())
        return (net.w**2).sum()

    sgd = SGD(lr=0.05, momentum=0.9, weight_decay=0.0, schedule="constant")
    sgd.minimise(net, loss, [()] * 6, steps=6)
    assert [*seen[1:], net.w.item()] == pytest.approx(expected)
    assert path(7, lr=0.5, schedule="constant") == pytest.approx([0.5] * 7)


def test_clip_bounds_the_length_of_a_step():
    """The gradient is 100; clipped to 2 a step is 2 * lr. A small gradient is left alone."""
    assert path(1, lr=0.1, loss=lambda w: 100 * w) == pytest.approx([10.0])
    assert path(1, lr=0.1, loss=lambda w: 100 * w, clip=2.0) == pytest.approx([0.2], rel=1e-4)
    assert path(1, lr=0.1, loss=lambda w: 0.5 * w, clip=2.0) == pytest.approx([0.05], rel=1e-4)


def test_frozen_batchnorm_learns_its_weights_only(cnn, images):
    """Fails if "frozen" puts the whole net in eval mode, or BatchNorm back in train mode."""
    x, y = images(8)
    for mode in ("frozen", "train"):
        net, modes = cnn(), []
        before = {k: v.clone() for k, v in net[1].state_dict().items()}

        def loss(xb, yb, net=net, modes=modes):
            modes.append((net.training, net[0].training, net[1].training))
            return F.cross_entropy(net(xb), yb)

        out = SGD(lr=0.1, batchnorm=mode).minimise(net, loss, [(x, y)] * 2, steps=2)
        assert out is net
        assert not any(m.training for m in net.modules())
        assert modes == [(True, True, mode == "train")] * 2
        assert torch.equal(before["running_mean"], net[1].running_mean) == (mode == "frozen")
        assert not torch.equal(before["weight"], net[1].weight)


def test_fit_learns_and_a_seed_decides_it(linear, rng, same_random_state):
    """Two clouds that a line separates: all right after a few passes."""
    x = torch.rand(40, 2, generator=rng(0))
    y = (x[:, 0] > x[:, 1]).long()
    options = {"epochs": 40, "lr": 0.5, "batch_size": 8, "weight_decay": 0.0}
    with same_random_state():
        nets = [fit(linear(2, dtype=torch.float32), x, y, seed=s, **options) for s in (0, 0, 1)]
    assert (nets[0](x).argmax(1) == y).float().mean() >= 0.95
    assert torch.equal(nets[0][1].weight, nets[1][1].weight)
    assert not torch.equal(nets[0][1].weight, nets[2][1].weight)
    assert not nets[0].training
