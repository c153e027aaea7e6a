"""Caps of the sphere: arcs, zones, simulation, and the bound of Lemma A.2."""

import math

import numpy as np
import pytest
from scipy.integrate import quad

from rurklib.checks import InputError
from rurklib.study.inspector import sphere

DIMENSIONS = (2, 3, 10, 100, 3072)


@pytest.mark.parametrize("angle", [0.0, 0.3, 1.2, math.pi / 2, 2.0, math.pi])
def test_known_caps(angle):
    """A circle's cap is an arc, angle / pi; a sphere's is (1 - cos angle) / 2 (Archimedes); others
    are the integral of their rings."""
    assert sphere.cap_share(angle, 2) == pytest.approx(angle / math.pi)
    assert sphere.cap_share(angle, 3) == pytest.approx((1 - math.cos(angle)) / 2)
    for d in (4, 7, 30):
        below, whole = (quad(lambda t, d=d: math.sin(t) ** (d - 2), 0, to)[0]
                        for to in (angle, math.pi))  # fmt: skip
        assert sphere.cap_share(angle, d) == pytest.approx(below / whole)


def test_tau_is_a_distance_in_space():
    """On the circle, points at distance 1 are 60 degrees apart: half the circle and twice that; on
    the sphere the height of the rim at chord tau is tau sqrt(1 - tau^2 / 4). Fails if tau is taken
    for the angle (57 degrees)."""
    assert sphere.near_hemisphere(1.0, 2) == pytest.approx(1 / 2 + 2 / 6)
    shares = [sphere.near_hemisphere(tau, 9) for tau in (0.0, math.sqrt(2), 2.0)]
    assert shares == pytest.approx([0.5, 1.0, 1.0])
    height = 0.4 * math.sqrt(1 - 0.4**2 / 4)
    assert sphere.near_hemisphere(0.4, 3) == pytest.approx((1 + height) / 2)


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_simulation_agrees_with_the_closed_form_and_the_bound_holds(dimension):
    taus, points = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 1.4), 2000
    drawn = sphere.near_caps(taus, dimension, points=points, seed=1)
    exact = np.array([sphere.near_hemisphere(t, dimension) for t in taus])
    error = np.sqrt(exact * (1 - exact) / (points / 2)) + 1e-3
    assert (np.abs(drawn - exact) < 4 * error).all()
    assert (np.array([sphere.bound(t, dimension) for t in taus]) <= exact).all()


def test_the_bound_in_numbers():
    assert sphere.bound(0.0, 5) == pytest.approx(1 - math.sqrt(math.pi / 8))
    assert sphere.bound(0.1, 201) == pytest.approx(1 - math.sqrt(math.pi / 8) / math.e)


@pytest.mark.parametrize("dimension", [2, 10, 100])
def test_scattered_caps_of_the_same_area_reach_further(dimension):
    """Half of the sphere at tau = 0, more than a hemisphere's neighbourhood beyond. Fails if the
    caps' radius isn't the one that covers half."""
    drawn = sphere.near_caps((0.0, 0.1), dimension, caps=16, points=4000)
    assert drawn[0] == pytest.approx(0.5, abs=0.05)
    assert drawn[1] > sphere.near_hemisphere(0.1, dimension) + 0.05


def test_two_arcs_have_at_most_four_ends():
    """On the circle two arcs grow by 4 angles, by 2 if they overlap. Fails if a point's distance to
    the caps isn't that to the nearest one."""
    angle = 2 * math.asin(0.05)
    for seed in range(8):
        at_0, grown = sphere.near_caps((0.0, 0.1), 2, caps=2, points=8000, seed=seed)
        assert 2 * angle / (2 * math.pi) - 0.012 < grown - at_0 < 4 * angle / (2 * math.pi) + 0.012


def test_a_row_for_each_tau_and_dimension():
    frame = sphere.dimensions([0.2, 0.1], [3, 2], points=200, seed=3)
    assert frame.tau.tolist() == [0.1, 0.1, 0.2, 0.2]
    assert frame.dimension.tolist() == [2, 3, 2, 3]
    row = frame.iloc[3]
    assert (row.bound, row.hemisphere) == (sphere.bound(0.2, 3), sphere.near_hemisphere(0.2, 3))
    assert row.caps_drawn == sphere.near_caps([0.1, 0.2], 3, caps=16, points=200, seed=3)[1]
    assert frame.equals(sphere.dimensions([0.2, 0.1], [3, 2], points=200, seed=3))


@pytest.mark.parametrize("tau", [-0.1, 2.1, math.nan])
def test_a_distance_beyond_the_sphere_is_refused(tau):
    with pytest.raises(InputError, match="tau"):
        sphere.near_hemisphere(tau, 3)
