"""Panels: controls and a picture. They hold a state; what they show is computed elsewhere."""

from rurklib.widgets.dimension import DimensionPanel
from rurklib.widgets.flat import FlatPanel
from rurklib.widgets.picture import Picture

__all__ = ["DimensionPanel", "FlatPanel", "Picture"]
