"""RandomLabels: labels that are never the true one and all alike, and GD on what they make."""

from __future__ import annotations

import importlib

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rurklib import unlearn
from rurklib.unlearn.soft_and_wrong_labels import wrong_labels


def test_a_wrong_label_is_never_the_true_one_and_each_other_is_as_likely(rng):
    """12,000 draws for each of four labels: a share of 1/3 has a standard error of 0.0043.
    Fails if the true label is among them, one is left out, or the label's neighbour is likelier."""
    y = torch.arange(4).repeat(12_000)
    drawn = wrong_labels(y, 4, rng(0))
    table = torch.zeros(4, 4)
    table.index_put_((y, drawn), torch.ones(len(y)), accumulate=True)
    share = table / 12_000
    assert share.diagonal().tolist() == [0, 0, 0, 0]
    assert (share[~torch.eye(4, dtype=torch.bool)] - 1 / 3).abs().max() < 4 * 0.0043


def test_with_two_classes_the_wrong_label_is_known(rng):
    y = torch.tensor([0, 1, 1])
    assert wrong_labels(y, 2, rng(0)).tolist() == [1, 0, 0]


def test_one_step_by_hand(rng):
    """Two classes: one step on the union of retain and turned forget labels, each sample alike.
    Fails if a set is left out, weighted by itself, or the forget labels stay true."""
    net = nn.Linear(3, 2, bias=False).double()
    x = torch.rand(9, 3, generator=rng(0), dtype=torch.float64)
    y = torch.arange(9) % 2
    options = {"epochs": 1, "lr": 0.3, "momentum": 0.0, "weight_decay": 0.0}
    out = unlearn("RandomLabels", net, (x[:5], y[:5]), (x[5:], y[5:]), **options)
    w = net.weight.detach()
    p = torch.softmax(x @ w.T, 1) - F.one_hot(torch.cat([y[:5], 1 - y[5:]]), 2)
    assert torch.allclose(out.weight, w - 0.3 * p.T @ x / 9, atol=1e-12)


def test_it_is_gd_on_a_data_set_that_is_relabelled_once(cnn, images, monkeypatch):
    """To the bit, over several epochs. Fails if labels are drawn anew in each."""
    model, (x, y) = cnn(), images(14)
    seen = []
    room = importlib.import_module("rurklib.unlearn.random_labels")  # the function hides the file
    original = room.wrong_labels

    def spy(*args):
        seen.append(original(*args))
        return seen[-1]

    monkeypatch.setattr(room, "wrong_labels", spy)
    options = {"epochs": 4, "lr": 0.05, "weight_decay": 5e-4, "batch_size": 4, "seed": 3}
    got = unlearn("RandomLabels", model, (x[:10], y[:10]), (x[10:], y[10:]), **options)
    (drawn,) = seen
    union = (x, torch.cat([y[:10], drawn]))
    hand = unlearn("GD", model, union, images(4, seed=9), **options)
    for a, b in zip(got.state_dict().values(), hand.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_forget_samples_end_up_wrong(cnn, images):
    model, (x, y) = cnn(), images(14)
    options = {"epochs": 300, "lr": 0.05, "batchnorm": "frozen"}
    out = unlearn("RandomLabels", model, (x[:10], y[:10]), (x[10:], y[10:]), **options)
    assert not bool((out(x[10:]).argmax(1) == y[10:]).any())


@pytest.mark.parametrize(("mode", "same"), [("frozen", True), ("train", False)])
def test_batchnorm_is_connected(mode, same, cnn, images):
    model, (x, y) = cnn(), images(14)
    out = unlearn("RandomLabels", model, (x[:10], y[:10]), (x[10:], y[10:]), batchnorm=mode)
    assert torch.equal(out[1].running_mean, model[1].running_mean) == same
