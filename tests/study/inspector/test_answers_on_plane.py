"""Answers on a plane: a linear model's regions are known in closed form."""

import numpy as np
import pytest
import torch
from torch import nn

from rurklib.checks import InputError
from rurklib.study.inspector.grid import answers_on_plane


class Slope(nn.Module):
    """Says 1 where the first pixel is above the second."""

    def forward(self, x):
        flat = x.flatten(1)
        return torch.stack([flat[:, 1], flat[:, 0]], dim=1)


def unit(i):
    return torch.eye(4)[i].view(1, 2, 2)


def test_regions_of_a_linear_model():
    origin = torch.full((1, 2, 2), 0.5)
    a, b, said = answers_on_plane({"m": Slope()}, origin, unit(0), unit(1), 0.3, points=8)
    assert np.array_equal(said["m"], (a[None, :] > b[:, None]).astype(int))
    assert (a[0], a[-1]) == (-0.3, 0.3)


def test_ranges_of_their_own_for_each_axis():
    origin = torch.zeros(1, 2, 2)
    a, b, said = answers_on_plane(
        {"m": Slope()}, origin, unit(0), unit(1), ((0.0, 1.0), (2.0, 3.0)), points=5
    )
    assert (a[0], a[-1], b[0], b[-1]) == (0.0, 1.0, 2.0, 3.0)
    assert not said["m"].any()


def test_bounds_clamp_what_is_asked():
    origin = torch.full((1, 2, 2), 0.9)
    _, _, free = answers_on_plane({"m": Slope()}, origin, unit(0), unit(1), 0.5, points=4)
    _, _, held = answers_on_plane(
        {"m": Slope()}, origin, unit(0), unit(1), 0.5, points=4, bounds=(0.0, 1.0)
    )
    assert free["m"][2, 3] == 1  # 1.4 against 1.07
    assert held["m"][2, 3] == 0  # both 1


def test_other_shapes_are_refused():
    with pytest.raises(InputError, match="up has shape"):
        answers_on_plane({}, torch.zeros(1, 2, 2), unit(0), torch.zeros(4), 1.0)
