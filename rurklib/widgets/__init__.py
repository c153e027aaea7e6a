"""Panels: controls and a picture. They hold a state; what they show is computed elsewhere."""

from rurklib.widgets.dimension import DimensionPanel
from rurklib.widgets.flat import FlatPanel
from rurklib.widgets.inspector import InspectorPanel
from rurklib.widgets.job import Job
from rurklib.widgets.page import page
from rurklib.widgets.picture import Picture

__all__ = ["DimensionPanel", "FlatPanel", "InspectorPanel", "Job", "Picture", "page"]
