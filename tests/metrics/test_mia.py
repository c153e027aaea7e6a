"""The SVM attack on likelihoods whose failure rate is known."""

import numpy as np
import pytest
import torch
from torch import nn

from rurklib.metrics.mia import likelihood, mia, svm_membership

RNG = np.random.default_rng(0)
HIGH, LOW = RNG.uniform(0.9, 1.0, 200), RNG.uniform(0.0, 0.1, 200)


class Table(nn.Module):
    """Logits are the log of the input's rows: the test says what p is."""

    def forward(self, x):
        return x.log()


def shares(p, y, classes=3):
    """Inputs whose label y gets the likelihood p, the rest shared unevenly."""
    x = torch.zeros(len(y), classes)
    for i, (pi, yi) in enumerate(zip(p, y, strict=True)):
        x[i, (yi + 1) % classes], x[i, (yi + 2) % classes] = (1 - pi) * 0.8, (1 - pi) * 0.2
        x[i, yi] = pi
    return x, torch.as_tensor(y)


@pytest.mark.parametrize("share", [0, 0.1, 0.35, 0.8, 1])
def test_a_mixture_gives_its_share_of_unseen(share):
    """Catches an inverted sign: what looks unseen isn't called a member."""
    n = round(200 * share)
    members = svm_membership(HIGH, LOW, np.concatenate([LOW[:n], HIGH[n:]]))
    assert members.tolist() == [False] * n + [True] * (200 - n)


def test_many_seen_samples_do_not_drown_the_unseen_ones():
    """Catches unbalanced sides. The two densities are each other's mirror image, so with equal
    weight the border is at 1/2; with 50 seen samples for one unseen, all would be called seen."""
    rng = np.random.default_rng(1)
    seen, unseen = rng.beta(3, 2, 5000), rng.beta(2, 3, 100)
    assert 0.35 < svm_membership(seen, unseen, np.linspace(0, 1, 201)).mean() < 0.65


def test_samples_are_scored_against_the_test_set_and_a_class_by_its_held_out_part():
    """Catches exchanged roles."""
    y = np.arange(30) % 3
    sure, unsure = shares(np.full(30, 0.97), y), shares(np.full(30, 0.1), y)
    mixed = shares(np.repeat([0.1, 0.97], [12, 18]), y)
    assert mia(Table(), sure, unsure, sure, mixed, True) == pytest.approx(40)
    assert mia(Table(), sure, mixed, unsure, sure, False) == pytest.approx(40)


def test_likelihood_is_read_in_eval_mode_and_tells_confident_samples_apart(left_as_found):
    """Catches a model read in train mode or left altered, and float32 ties at exactly 1."""
    net = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(0.5), nn.Identity()).train()
    x, y = torch.tensor([[30.0, 0.0], [25.0, 0.0], [20.0, 0.0]]), torch.zeros(3, dtype=torch.int64)
    with left_as_found(net):
        p = likelihood(net, x, y)
    np.testing.assert_allclose(1 - p, np.exp(-np.array([30.0, 25.0, 20.0])), rtol=0.01)
    assert p[0] > p[1] > p[2]
