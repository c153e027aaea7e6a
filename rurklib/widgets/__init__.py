"""Panels: controls and a picture. They hold a state; what they show is computed elsewhere."""

from rurklib.widgets.picture import Picture

__all__ = ["Picture"]
