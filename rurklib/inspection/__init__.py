"""Looking closely at one sample: what a panel or a figure of a single image is computed from.

Heavier work is a generator that yields what is known so far, with ``done`` of ``total`` steps, so
that a button can show progress and stop it.
"""

from rurklib.inspection.cut import Cut, cut
from rurklib.inspection.plane import answers_on_plane
from rurklib.inspection.radius import Radii, radii
from rurklib.inspection.running import Running, running
from rurklib.inspection.view import Inspector, View

__all__ = [
    "Cut",
    "Inspector",
    "Radii",
    "Running",
    "View",
    "answers_on_plane",
    "cut",
    "radii",
    "running",
]
