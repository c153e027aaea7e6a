"""How much of a sphere lies near a disagreement: the geometry behind Proposition 2.

Two models disagree on at least half of the unit sphere S^{d-1}. Then the points within tau (L2) of
a disagreement are a share of the sphere that goes to 1 with d (Lemma A.2, after Milman & Schechtman
1986): at least ``1 - sqrt(pi / 8) exp(-(d - 1) tau^2 / 2)``. By isoperimetry a hemisphere is the
worst case, and its share is known exactly; scattered disagreements reach further.

tau is a distance in space, not along the sphere: points at tau are 2 asin(tau / 2) apart as angles.
"""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import betainc

from rurklib import checks

BLOCK = 500  # points drawn at a time: 3,072 dimensions then take 12 MB


def cap_share(angle: float, dimension: int) -> float:
    """The share of S^{d-1} within ``angle`` (0 ... pi) of a pole: a cap.

    For angles up to pi / 2 it is ``I(sin^2 angle; (d - 1) / 2, 1 / 2) / 2`` with the regularised
    incomplete beta function I (Li 2011); beyond, the rest of the sphere.

    >>> round(cap_share(math.pi / 3, 2), 12), round(cap_share(math.pi / 3, 3), 12)  # arc, cap
    (0.333333333333, 0.25)
    """
    checks.count("dimension", dimension, 2)
    checks.number("angle", angle, 0.0, math.pi)
    if angle > math.pi / 2:
        return 1 - cap_share(math.pi - angle, dimension)
    return float(betainc((dimension - 1) / 2, 0.5, math.sin(angle) ** 2) / 2)


def near_hemisphere(tau: float, dimension: int) -> float:
    """The share of S^{d-1} within tau (L2, 0 ... 2) of a hemisphere, the hemisphere included."""
    return cap_share(min(math.pi / 2 + _angle(tau), math.pi), dimension)


def bound(tau: float, dimension: int) -> float:
    """Lemma A.2's lower bound for the share within tau of any region of at least half the area."""
    checks.number("tau", tau, 0.0)
    return 1 - math.sqrt(math.pi / 8) * math.exp(-(dimension - 1) * tau**2 / 2)


def near_caps(
    taus: Sequence[float], dimension: int, *, caps: int = 1, points: int = 2000, seed: int = 0
) -> np.ndarray:
    """The same share by simulation, where the disagreement is a union of ``caps`` random caps of
    half the sphere's area in all: [tau]. One cap is a hemisphere.

    A point is at angle ``arccos max <x, pole> - arccos t`` from the union {max <x, pole> >= t}. One
    half of the points gives t, the median; the other half the share.
    """
    angles = np.array([_angle(tau) for tau in taus])
    checks.count("caps", caps)
    checks.count("points", points, 2)
    rng = np.random.default_rng([seed, dimension, caps])
    poles = _on_sphere(rng, caps, dimension)
    near = [
        (_on_sphere(rng, min(BLOCK, points - at), dimension) @ poles.T).max(1)
        for at in range(0, points, BLOCK)
    ]
    nearest = np.arccos(np.clip(np.concatenate(near), -1, 1))
    radius = math.pi / 2 if caps == 1 else float(np.median(nearest[: points // 2]))
    return (nearest[points // 2 :, None] <= radius + angles).mean(0)


def dimensions(
    taus: Sequence[float],
    dimensions: Sequence[int],
    *,
    caps: int = 16,
    points: int = 4000,
    seed: int = 0,
) -> pd.DataFrame:
    """A row for each tau and dimension: ``caps``, ``bound``, ``hemisphere`` (exact),
    ``hemisphere_drawn`` and ``caps_drawn`` (simulated, ``points`` / 2 points each)."""
    rows = []
    for d in dimensions:
        one = near_caps(taus, d, caps=1, points=points, seed=seed)
        many = near_caps(taus, d, caps=caps, points=points, seed=seed)
        for tau, drawn, scattered in zip(taus, one, many, strict=True):
            exact = bound(tau, d), near_hemisphere(tau, d)
            rows.append((tau, d, caps, *exact, drawn, scattered))
    columns = ["tau", "dimension", "caps", "bound", "hemisphere", "hemisphere_drawn", "caps_drawn"]
    return pd.DataFrame(rows, columns=columns).sort_values(["tau", "dimension"], ignore_index=True)


def _angle(tau: float) -> float:
    """The angle between two points of the sphere at distance tau."""
    return 2 * math.asin(checks.number("tau", tau, 0.0, 2.0) / 2)


def _on_sphere(rng: np.random.Generator, n: int, dimension: int) -> np.ndarray:
    z = rng.standard_normal((n, dimension))
    return z / np.linalg.norm(z, axis=1, keepdims=True)
