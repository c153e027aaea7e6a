"""Looking closely at one sample: what a panel or a figure of a single image is computed from."""

from rurklib.inspection.flat import Case, Flat, flatten, forget_and_retrain, trajectory
from rurklib.inspection.flat_ball import Ball, around, shares
from rurklib.inspection.flat_view import NAMES, State, View, view
from rurklib.inspection.plane import answers_on_plane

__all__ = [
    "NAMES",
    "Ball",
    "Case",
    "Flat",
    "State",
    "View",
    "answers_on_plane",
    "around",
    "flatten",
    "forget_and_retrain",
    "shares",
    "trajectory",
    "view",
]
