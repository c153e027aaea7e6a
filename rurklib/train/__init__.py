"""Training and fine-tuning: one loop, :func:`rurklib.train.loop.learn`, for everything."""

from rurklib.train.augment import AUGMENTATIONS
from rurklib.train.fit import fit
from rurklib.train.loop import BatchNorm, batches, cycled, descend

__all__ = ["AUGMENTATIONS", "BatchNorm", "batches", "cycled", "descend", "fit"]
