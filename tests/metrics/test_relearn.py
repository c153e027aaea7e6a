"""Re-learn time on a logistic model, where how far away a model is can be set."""

import copy
import math

import pytest
import torch
from torch import nn

from rurklib.metrics.relearn import few_shots, relearn_epochs, relearn_steps


def linear(margin):
    """Two inputs, two classes; on the samples below the logits of label and other differ by
    ``margin``, so the loss is log(1 + exp(-margin))."""
    net = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        net.weight.copy_(margin / 2 * torch.tensor([[1.0, -1.0], [-1.0, 1.0]]))
    return net


X = torch.eye(2).repeat(10, 1)
Y = torch.tensor([0, 1]).repeat(10)


def loss(margin):
    return math.log1p(math.exp(-margin))


def margins(margin, lr):
    """Of gradient descent by hand, on all samples at once. Each weight of a sample's column moves
    by lr / 2 times sigmoid(-margin), so the margin, a difference of two, by twice that."""
    speed = 0.0
    while True:
        yield margin
        speed = 0.9 * speed + 1 / (1 + math.exp(margin))
        margin += lr * speed


def test_original_needs_no_epoch_however_small_its_loss():
    """Catches counting from 1, a strict <, and a float32 loss: at a margin of 25 it is 0."""
    for margin in (3.0, 25.0):
        assert relearn_epochs(linear(margin), linear(margin), (X, Y)) == 0
        assert relearn_steps(linear(margin), linear(margin), (X, Y)) == 0
    assert relearn_epochs(linear(17.0), linear(25.0), (X, Y), lr=1.0) == 31


@pytest.mark.parametrize("start", [2.5, 1.0, -1.0, -4.0])
def test_epochs_and_steps_are_those_of_gradient_descent_by_hand(start):
    """Catches a schedule, one too many or too few, a loss during training instead of after it, a
    criterion without (1 + eta), and a cap that is read as success. One batch is an epoch."""
    path = margins(start, 0.3)
    count = next(k for k, margin in enumerate(path) if loss(margin) <= 1.05 * loss(3.0))
    assert count > 0
    for clock in (relearn_epochs, relearn_steps):
        for cap, expected in ((count, count), (count - 1, count)):
            assert clock(linear(start), linear(3.0), (X, Y), lr=0.3, cap=cap) == expected
        assert clock(linear(-4.0), linear(3.0), (X, Y), lr=0.3, cap=2) == 3


def test_an_epoch_of_many_samples_has_many_steps_and_a_step_the_first_of_them():
    """Fails if the loss is looked at within an epoch, or samples beyond the first 128 count."""
    x, y = X.repeat(20, 1), Y.repeat(20)
    nets = [linear(2.9), linear(2.6)]
    assert [relearn_epochs(n, linear(3.0), (x, y), lr=5.0) for n in nets] == [1, 1]
    one, other = (relearn_steps(n, linear(3.0), (x, y), lr=0.01) for n in nets)
    assert 0 < one < other
    assert (
        relearn_steps(nets[0], linear(3.0), (x, y.index_fill(0, torch.tensor(399), 0)), lr=0.01)
        == one
    )


def test_the_callers_models_and_random_state_are_left_as_found(left_as_found, same_random_state):
    """Catches training in place, moved BatchNorm statistics, a mode left changed, reseeding."""
    net = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)).train()
    net[1].eval()
    net[0].weight.requires_grad_(False)
    other = copy.deepcopy(net)
    with torch.no_grad():
        other[2].weight.zero_()
        other[2].bias.copy_(torch.tensor([5.0, -5.0]))  # sure, and wrong half the time
        with left_as_found(net, other), same_random_state():
            assert relearn_epochs(other, net, (X, Y), cap=3) > 0


def test_every_weight_learns_in_eval_mode():
    """Catches a model that seems to resist because its unlearning method froze its layers, and
    train mode: with nine tenths dropped, steps are ten times as long or none at all."""
    free = relearn_epochs(linear(0.0), linear(3.0), (X, Y), lr=1.0)
    frozen = linear(0.0).requires_grad_(False)
    dropping = nn.Sequential(nn.Dropout(0.9), linear(0.0)).train()
    for net in (frozen, dropping):
        assert relearn_epochs(net, linear(3.0), (X, Y), lr=1.0) == free


def test_few_shots_are_gradient_descent_by_hand_and_probe_what_was_asked():
    """The probe, half as long as a shot, has half the margin. Row 0 is the model's own."""
    probe = X[:2] / 2, Y[:2]
    curve = few_shots(linear(0.5), (X[:2], Y[:2]), probe, steps=5, lr=1.0)
    assert curve.shape == (6, 2)
    for row, margin in zip(curve, margins(0.5, 1.0), strict=False):
        assert row.tolist() == pytest.approx([margin / 2] * 2, abs=1e-6)
