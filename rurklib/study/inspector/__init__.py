"""Looking closely at one sample: what a panel or a figure of a single image is computed from.

``view``, ``cut``, ``radius`` and ``running`` are about a forget image of a run, ``flat`` and its
companions about the plane of notebook 0. Heavier work is a generator that yields what is known so
far, with ``done`` of ``total`` steps, so that a button can show progress and stop it.
"""

from rurklib.study.inspector.cut import Cut, cut
from rurklib.study.inspector.few import forget_few
from rurklib.study.inspector.flat import Case, Flat, flatten, forget_and_retrain, trajectory
from rurklib.study.inspector.flat_ball import Ball, around, shares
from rurklib.study.inspector.flat_view import NAMES, State
from rurklib.study.inspector.grid import answers_on_plane
from rurklib.study.inspector.radius import Radii, radii
from rurklib.study.inspector.running_ratio import Running, running
from rurklib.study.inspector.view import Inspector, View

__all__ = [
    "NAMES",
    "Ball",
    "Case",
    "Cut",
    "Flat",
    "Inspector",
    "Radii",
    "Running",
    "State",
    "View",
    "answers_on_plane",
    "around",
    "cut",
    "flatten",
    "forget_and_retrain",
    "forget_few",
    "radii",
    "running",
    "shares",
    "trajectory",
]
