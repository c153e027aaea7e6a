"""Distances of outputs, and ZRF: closed forms, and SciPy's Jensen-Shannon distance."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import jensenshannon
from torch import nn

from rurklib.checks import InputError
from rurklib.metrics.output_distance import (
    activation_distance,
    js_divergence,
    output_distance,
    probabilities,
)
from rurklib.metrics.zrf import zrf

P, Q = np.random.default_rng(0).dirichlet([0.3] * 5, (2, 20))
SURE = np.eye(3)


def test_the_same_outputs_are_at_0_and_disjoint_ones_as_far_as_can_be():
    assert activation_distance(P, P) == pytest.approx(0)
    assert js_divergence(P, P) == pytest.approx(0)
    assert activation_distance(SURE[0], SURE[1:]) == pytest.approx(math.sqrt(2))
    assert js_divergence(SURE[0], SURE[1:]) == pytest.approx(math.log(2))


def test_the_divergence_is_scipys_and_the_distance_numpys():
    assert js_divergence(P, Q) == pytest.approx(jensenshannon(P, Q, axis=1) ** 2)
    assert activation_distance(P, Q) == pytest.approx(((P - Q) ** 2).sum(1) ** 0.5)


def test_a_model_is_as_far_as_it_is_on_average_from_re_trained_ones():
    """Catches a distance to their mean output: to two that are sure of different classes it would
    be 0.71."""
    found = output_distance(SURE[[0, 0]], [SURE[[0, 1]], SURE[[2, 2]]])
    assert found == pytest.approx((0.75 * math.sqrt(2), 0.75 * math.log(2)))
    assert np.isnan(output_distance(SURE, [])).all()


def test_probabilities_are_of_eval_mode_and_exact_where_they_are_tiny(left_as_found):
    net = nn.Sequential(nn.BatchNorm1d(2), nn.Dropout(0.5)).train()
    x, y = torch.tensor([[150.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1])
    with left_as_found(net):
        found = probabilities(net, (x, y))
    assert found[1] == pytest.approx([0.5, 0.5])
    tiny = math.exp(-150 / math.sqrt(1 + 1e-5))
    assert float(found[0, 1]) == pytest.approx(tiny, rel=1e-3, abs=0)


def test_zrf_is_1_for_a_blank_net_and_least_for_its_opposite():
    """Catches a divergence that isn't taken from 1, or to another net than the blank one."""
    x, y = torch.tensor([[900.0, 0.0], [0.0, 900.0]]), torch.tensor([0, 1])

    class Turned(nn.Module):
        def forward(self, x):
            return x.flip(1)

    assert zrf(nn.Identity(), nn.Identity(), (x, y)) == pytest.approx(1)
    assert zrf(nn.Identity(), Turned(), (x, y)) == pytest.approx(1 - math.log(2))
    between = zrf(nn.Hardtanh(0, 2), nn.Identity(), (x, y))  # logits 2 and 0
    half = js_divergence(SURE[0, :2], np.array([math.e**2, 1]) / (1 + math.e**2))
    assert between == pytest.approx(1 - half)
    with pytest.raises(InputError):
        zrf(nn.Identity(), nn.Identity(), (x[:0], y[:0]))
