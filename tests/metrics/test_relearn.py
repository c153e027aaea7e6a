"""Re-learn time on a logistic model, where how far away a model is can be set."""

import copy

import pytest
import torch
import torch.nn.functional as F
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
OPTIONS = {"lr": 1.0, "momentum": 0.0, "batch_size": 20}


def test_original_needs_no_epoch_however_small_its_loss():
    """Catches counting from 1, a strict <, and a float32 loss: at a margin of 25 it is 0."""
    for margin in (3.0, 25.0):
        for eta in (0.0, 0.05):
            found = relearn_epochs(linear(margin), linear(margin), (X, Y), eta=eta, **OPTIONS)
            assert found == 0
    assert relearn_epochs(linear(17.0), linear(25.0), (X, Y), **OPTIONS) == 31


def test_epochs_are_those_of_gradient_descent_by_hand():
    """Catches a schedule, an epoch too many or too few, an average over batches' losses during
    training instead of the loss after the epoch, and a criterion without (1 + eta).

    One batch an epoch: each weight of a sample's column moves by lr / 2 times sigmoid(-margin),
    so the margin (a difference of two weights) grows by lr * sigmoid(-margin)."""
    for eta in (0.05, 1.0):
        enough = (1 + eta) * F.softplus(torch.tensor(-3.0)).item()
        margin, epochs = torch.tensor(0.0), 0
        while F.softplus(-margin).item() > enough:
            margin, epochs = margin + torch.sigmoid(-margin), epochs + 1
        found = relearn_epochs(linear(0.0), linear(3.0), (X, Y), eta=eta, **OPTIONS)
        assert 0 < found == epochs < 30
        last = relearn_epochs(linear(0.0), linear(3.0), (X, Y), eta=eta, cap=found, **OPTIONS)
        assert last == found


def test_steps_are_those_of_the_whole_gradient_by_hand():
    """As below, one step of lr 0.05 on all samples at a time: the margin grows by lr sigmoid
    (-margin). Fails if the loss is looked at once an epoch."""
    margin, steps = torch.tensor(2.0), 0
    while F.softplus(-margin).item() > 1.05 * F.softplus(torch.tensor(-3.0)).item():
        margin, steps = margin + 0.05 * torch.sigmoid(-margin), steps + 1
    options = {"lr": 0.05, "momentum": 0.0, "cap": 500}
    found = relearn_steps(linear(2.0), linear(3.0), (X, Y), **options)
    assert found == steps > 100
    assert relearn_steps(linear(3.0), linear(3.0), (X, Y)) == 0
    assert relearn_steps(linear(-4.0), linear(3.0), (X, Y), cap=2) == 3
    assert relearn_steps(linear(0.0), linear(3.0), ((X * 255).byte(), Y), **options) > found


def test_steps_part_models_that_an_epoch_does_not():
    """Both need one epoch. Fails if the finer clock is as coarse."""
    nets = [linear(2.9), linear(2.6)]
    epochs = [relearn_epochs(n, linear(3.0), (X, Y), lr=20.0, momentum=0.0) for n in nets]
    assert epochs == [1, 1]
    one, other = (relearn_steps(n, linear(3.0), (X, Y), lr=0.1, momentum=0.0) for n in nets)
    assert 0 < one < other / 2


def test_farther_away_takes_longer_and_more_than_the_cap_is_cap_plus_one():
    """Catches a count of steps that doesn't depend on the model, and a cap read as success."""
    counts = [
        relearn_epochs(linear(m), linear(3.0), (X, Y), **OPTIONS) for m in (2.5, 1.0, -1, -4.0)
    ]
    assert counts == sorted(set(counts))
    assert counts[0] > 0
    assert relearn_epochs(linear(-4.0), linear(3.0), (X, Y), cap=2, **OPTIONS) == 3


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
            assert relearn_epochs(net, net, (X, Y), cap=3) == 0


def test_every_weight_learns_in_eval_mode():
    """Catches a model that seems to resist because its unlearning method froze its layers, and
    train mode: with nine tenths dropped, steps are ten times as long or none at all."""
    free = relearn_epochs(linear(0.0), linear(3.0), (X, Y), **OPTIONS)
    frozen = linear(0.0).requires_grad_(False)
    dropping = nn.Sequential(nn.Dropout(0.9), linear(0.0)).train()
    for net in (frozen, dropping):
        assert relearn_epochs(net, linear(3.0), (X, Y), **OPTIONS) == free


def test_few_shots_are_gradient_descent_by_hand_and_probe_what_was_asked():
    """One shot of each class of ``X``: a margin grows by sigmoid(-margin) a step (lr 1, as above);
    the probe, half as long as a shot, has half the margin. Row 0 is the model's own."""
    shots = X[:2], Y[:2]
    probe = X[:2] / 2, Y[:2]
    model = linear(0.5)
    learner, curve = few_shots(model, shots, probe, steps=5, lr=1.0, momentum=0.0)
    assert curve.shape == (6, 2)
    margin = 0.5
    for row in curve:
        assert row.tolist() == pytest.approx([margin / 2] * 2, abs=1e-6)
        margin += torch.sigmoid(torch.tensor(-margin)).item()
    with torch.no_grad():
        z = learner(probe[0])
    assert float(z[0, 0] - z[0, 1]) == pytest.approx(float(curve[-1, 0]), abs=1e-6)
    assert torch.equal(model.weight, linear(0.5).weight)
    assert few_shots(model, shots, probe, steps=0)[1].shape == (1, 2)
