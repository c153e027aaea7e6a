"""The plane through a sample: its directions, and what is said on it."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from rurklib import samples
from rurklib.study.inspector.cut import cut, directions


def test_directions_have_length_1_and_a_right_angle_and_lower_the_loss(inspector):
    across, up = directions(inspector, 6)
    assert float(across.norm()) == pytest.approx(1, abs=1e-5)
    assert float(up.norm()) == pytest.approx(1, abs=1e-5)
    assert float((across * up).sum()) == pytest.approx(0, abs=1e-5)
    x = samples.as_float(inspector.x[6:7]).double().requires_grad_()
    net = copy.deepcopy(inspector.models["Original"]).double()
    (gradient,) = torch.autograd.grad(F.cross_entropy(net(x), inspector.y[6:7]), x)
    cosine = F.cosine_similarity(-gradient.flatten(), across.flatten().double(), 0)
    assert float(cosine) == pytest.approx(1, abs=1e-3)
    assert torch.equal(directions(inspector, 6)[1], up)
    assert not torch.equal(directions(inspector, 6, seed=1)[1], up)


def test_in_the_middle_stands_the_sample_and_the_share_is_the_references(inspector):
    *_, c = cut(inspector, 4, 3.0, model="RURK", points=21)
    v = inspector.view(4)
    assert list(c.says) == ["Original", "RURK", *inspector.references]
    for name, said in c.says.items():
        assert said.shape == (21, 21)
        assert said[10, 10] == v.recognised[v.models.index(name)]
    mean = np.mean([c.says[r] for r in inspector.references], axis=0)
    np.testing.assert_array_equal(c.share, mean)
    assert (c.across[0], c.across[-1]) == (-3.0, 3.0)


def test_a_point_of_the_plane_is_what_the_model_says_there(inspector):
    """Fails if the axes are mixed up or points beyond the bounds aren't clamped to them."""
    (across, up), x = directions(inspector, 2), samples.as_float(inspector.x[2])
    *_, c = cut(inspector, 2, 6.0, points=9)
    free = torch.stack([x + a * across + b * up for b in c.up for a in c.across])
    clamped, unclamped = (
        (inspector.models["Original"](points).argmax(1) == inspector.y[2]).view(9, 9)
        for points in (free.clamp(0, 1), free)
    )
    np.testing.assert_array_equal(c.says["Original"], clamped)
    assert (clamped != clamped.T).any()
    assert (clamped != unclamped).any()


def test_progress_is_told_model_by_model(inspector):
    parts = list(cut(inspector, 0, 1.0, points=5))
    assert [(p.done, p.total) for p in parts] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert not parts[0].share.any()  # no reference asked yet
