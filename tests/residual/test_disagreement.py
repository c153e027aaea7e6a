"""Disagreement measured: closed forms for a linear model, bounds, shared copies."""

import numpy as np
import pytest
import torch
from scipy import stats

from rurklib.residual.disagreement import disagreement

X, Y = torch.full((5, 1), 0.5), torch.ones(5, dtype=torch.int64)


@pytest.fixture
def net(linear):
    """Says 1 where the input is above 0.3."""
    return linear([[0.0], [1.0]], bias=[0.0, -0.3], dtype=torch.float32)


def test_a_model_and_itself(net):
    """p = Phi(1) at tau 0.2: 2 p (1 - p) on copies of its own, 0 on shared ones, whose lower bound
    p (1 - p) they break. Fails if both are asked on the same copies, or bounds use 1 - p for p."""
    table = disagreement(net, {"a": net}, X, Y, taus=[0.0, 0.2], draws=2000, bounds=None)
    p = stats.norm.cdf(1)
    none, some = table.iloc[0], table.iloc[1]
    assert (none[["lower", "independent", "shared"]] == 0).all()
    assert some.shared == 0 < some.lower
    assert some.independent == pytest.approx(2 * p * (1 - p), abs=0.02)
    assert some.lower == pytest.approx(p * (1 - p), abs=0.02)
    assert some.upper == pytest.approx(1 - p * p, abs=0.02)


def test_the_mean_over_references(net, linear):
    """One reference that always says 1 and one that always says 0: with the model's p = Phi(1) they
    disagree on 1 - p and p of the copies, on average on half."""
    always = linear([[0.0], [0.0]], bias=[0.0, 1.0], dtype=torch.float32)
    never = linear([[0.0], [0.0]], bias=[1.0, 0.0], dtype=torch.float32)
    asked = {"taus": [0.2], "draws": 500, "bounds": None}
    table = disagreement(net, {"a": always, "b": never}, X, Y, **asked)
    assert np.allclose(table[["independent", "shared"]], 0.5)
    p = stats.norm.cdf(1)
    (one,) = disagreement(net, {"a": always}, X, Y, **asked).shared
    assert one == pytest.approx(1 - p, abs=0.03)


def test_copies_of_its_own_even_if_there_is_one(net):
    """One draw of 4,000 samples. Fails if both models are shown one stream, which so many draws
    that each is paired with all others would hide: a model would never disagree with itself."""
    x, y = X[:1].repeat(4000, 1), Y[:1].repeat(4000)
    table = disagreement(net, {"a": net}, x, y, taus=[0.2], draws=1, bounds=None)
    p = stats.norm.cdf(1)
    assert table.independent.item() == pytest.approx(2 * p * (1 - p), abs=0.03)
    assert table.shared.item() == 0
