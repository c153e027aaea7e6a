"""Panels: controls and pictures. They hold a state; what they show is computed elsewhere."""

from rurklib.study.panels.inspector import InspectorPanel, inspector_page
from rurklib.study.panels.panel import Panel

__all__ = ["InspectorPanel", "Panel", "inspector_page"]
