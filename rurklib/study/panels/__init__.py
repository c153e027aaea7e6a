"""Panels: controls and a picture. They hold a state; what they show is computed elsewhere."""

from rurklib.study.panels.dimension import DimensionPanel
from rurklib.study.panels.flat import FlatPanel
from rurklib.study.panels.inspector import InspectorPanel
from rurklib.study.panels.job import Job
from rurklib.study.panels.page import page
from rurklib.study.panels.picture import Picture

__all__ = ["DimensionPanel", "FlatPanel", "InspectorPanel", "Job", "Picture", "page"]
