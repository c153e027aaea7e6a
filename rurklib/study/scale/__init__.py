"""Trainings that take long: by several processes, and going on where a killed one was."""

from rurklib.study.scale.engine import AtScale

__all__ = ["AtScale"]
