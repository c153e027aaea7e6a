"""Looking closely at one sample: what a panel or a figure of a single image is computed from."""

from rurklib.inspection.plane import answers_on_plane

__all__ = ["answers_on_plane"]
