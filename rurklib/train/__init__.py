"""Training and fine-tuning: one loop, :func:`rurklib.train.loop.descend`, for everything."""

from rurklib.train.fit import fit
from rurklib.train.loop import BatchNorm, batches, cycled, descend

__all__ = ["BatchNorm", "batches", "cycled", "descend", "fit"]
