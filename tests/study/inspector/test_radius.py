"""The radius of linear models is a distance that can be worked out by hand."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from rurklib.study.inspector.radius import HALVINGS, radii
from rurklib.study.inspector.view import Inspector


class Half(nn.Module):
    """Says class 1 where the mean pixel is above ``edge``."""

    def __init__(self, edge: float) -> None:
        super().__init__()
        self.edge = edge

    def forward(self, x):
        z = 50 * (x.flatten(1).mean(1) - self.edge)
        return torch.stack([torch.zeros_like(z), z], 1)


@pytest.fixture
def halves(inspector) -> Inspector:
    """Three models that part at 0.3, 0.6 and never, about grey images of 0.5 that are of class 1;
    the references part at 0.45 and 0.55."""
    made = Inspector.__new__(Inspector)
    made.run, made.seed, made.classes = inspector.run, 0, ("a", "b")
    made.x, made.y = torch.full((2, 1, 4, 4), 0.5), torch.ones(2, dtype=torch.int64)
    made.references = ("Re-train 0", "Re-train 1")
    made._prepare({
        "Original": Half(0.3), "Re-train 0": Half(0.45), "Re-train 1": Half(0.55),
        "GD": Half(0.6), "RURK": Half(-9.0),
    })  # fmt: skip
    return made


@pytest.mark.parametrize("perturbation", ["fgsm", "fgsm-untargeted", "pgd"])
def test_signed_steps_reach_the_border_at_its_distance(halves, perturbation):
    *_, r = radii(halves, 0, perturbation, 0.4)
    assert r.done == r.total
    np.testing.assert_array_equal(r.before, [True, True, False, False, True])
    expected = [0.2, 0.05, 0.05, 0.1, math.nan]
    np.testing.assert_allclose(r.radius, expected, atol=0.4 / 24 / 2**HALVINGS + 1e-6)
    before, radius = r.of("Re-train")
    np.testing.assert_array_equal(before, [True, False])
    assert len(radius) == 2


def test_a_radius_in_l2_is_the_distance_times_the_root_of_the_pixels(halves):
    """A search can't come nearer than the border; ten steps come within a tenth of it."""
    *_, r = radii(halves, 1, "pgd-l2", 1.6, points=8)
    over = r.radius[:4] / [0.8, 0.2, 0.2, 0.4]
    assert (over > 0.999).all()
    assert (over < 1.1).all()


def test_along_a_random_direction_it_is_the_first_flip(halves):
    """Uniform noise of tau moves the mean by tau times the mean of its direction."""
    *_, r = radii(halves, 0, "uniform-linf", 2.0, draw=3, points=60)
    found = np.nonzero(~np.isnan(r.radius))[0]
    for m in found:
        says = [
            halves.view(0, "uniform-linf", t, 3).recognised[m] for t in (0.0, r.radius[m] - 0.002)
        ]
        assert says[0] == says[1] == r.before[m]
        assert halves.view(0, "uniform-linf", r.radius[m], 3).recognised[m] != r.before[m]
    assert len(found)


def test_what_is_out_of_reach_is_nan_and_progress_is_told(halves):
    reports = list(radii(halves, 0, "fgsm", 0.04, points=5))
    assert np.isnan(reports[-1].radius).all()
    assert [p.done for p in reports] == list(range(1, 5 + HALVINGS + 1))
    assert {p.total for p in reports} == {5 + HALVINGS}


def test_a_radius_of_the_run_s_models_is_where_the_view_changes(inspector):
    *_, r = radii(inspector, 5, "pgd-l2", 3.2, found_on="GD", steps=4, points=8)
    m = r.models.index("GD")
    perturbation = "pgd-l2-untargeted" if r.before[m] else "pgd-l2"
    at = inspector.view(5, perturbation, float(r.radius[m]), 0, "GD", 4)
    assert at.recognised[m] != r.before[m]
