"""Training and fine-tuning: one loop, :func:`rurklib.train.loop.learn`, for everything."""

from rurklib.train.augment import AUGMENTATIONS
from rurklib.train.fit import fit
from rurklib.train.loop import Batch, BatchNorm, batches, cycled
from rurklib.train.spec import SGD, Recipe

__all__ = [
    "AUGMENTATIONS", "SGD", "Batch", "BatchNorm", "Recipe", "batches", "cycled", "fit",
]  # fmt: skip
