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


@pytest.mark.parametrize("reach", [0.3, ((0.0, 1.0), (-1.0, 0.47)), ((0.0, 1.0), (2.0, 3.0))])
def test_regions_of_a_linear_model(reach):
    """Up is the first axis, across the second, each over its own range."""
    a, b, said = answers_on_plane({"m": Slope()}, torch.zeros(1, 2, 2), ACROSS, UP, reach, points=8)
    assert np.array_equal(said["m"], (a[None, :] > b[:, None]).astype(int))
    ends = ((-reach, reach),) * 2 if isinstance(reach, float) else reach
    assert ((a[0], a[-1]), (b[0], b[-1])) == ends


def test_bounds_clamp_what_is_asked():
    asked = {"m": Slope()}, torch.full((1, 2, 2), 0.9), ACROSS, UP, 0.5
    free, held = (answers_on_plane(*asked, points=4, bounds=b)[2]["m"] for b in (None, (0.0, 1.0)))
    assert free[2, 3] == 1  # 1.4 against 1.07
    assert held[2, 3] == 0  # both 1


def test_other_shapes_are_refused():
    with pytest.raises(InputError, match="up has shape"):
        answers_on_plane({}, torch.zeros(1, 2, 2), ACROSS, torch.zeros(4), 1.0)
