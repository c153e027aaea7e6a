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


def test_the_random_direction_is_that_of_the_seed(inspector):
    one, again, other = (directions(inspector, 6, s)[1] for s in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


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
    across, up = directions(inspector, 2)
    *_, c = cut(inspector, 2, 2.0, points=9)
    x = samples.as_float(inspector.x[2])
    for i, j in ((0, 8), (8, 2), (3, 5)):
        point = (x + c.across[j] * across + c.up[i] * up).clamp(0, 1)[None]
        said = inspector.models["Original"](point).argmax(1).item() == int(inspector.y[2])
        assert c.says["Original"][i, j] == said


def test_progress_is_told_model_by_model(inspector):
    parts = list(cut(inspector, 0, 1.0, points=5))
    assert [(p.done, p.total) for p in parts] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert not parts[0].share.any()  # no reference asked yet
