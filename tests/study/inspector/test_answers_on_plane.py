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


ACROSS, UP = (torch.eye(4)[i].view(1, 2, 2) for i in (0, 1))


def test_regions_of_a_linear_model():
    """Up is the first axis, across the second."""
    origin = torch.full((1, 2, 2), 0.5)
    axis, said = answers_on_plane({"m": Slope()}, origin, ACROSS, UP, 0.3, points=8)
    assert np.array_equal(said["m"], (axis[None, :] > axis[:, None]).astype(int))
    assert (axis[0], axis[-1]) == (-0.3, 0.3)


def test_bounds_clamp_what_is_asked():
    asked = {"m": Slope()}, torch.full((1, 2, 2), 0.9), ACROSS, UP, 0.5
    free, held = (answers_on_plane(*asked, points=4, bounds=b)[1]["m"] for b in (None, (0.0, 1.0)))
    assert free[2, 3] == 1  # 1.4 against 1.07
    assert held[2, 3] == 0  # both 1


def test_other_shapes_are_refused():
    with pytest.raises(InputError, match="up has shape"):
        answers_on_plane({}, torch.zeros(1, 2, 2), ACROSS, torch.zeros(4), 1.0)
