"""Numbers about one model: :func:`accuracy`."""

from rurklib.metrics.accuracy import accuracy

__all__ = ["accuracy"]
