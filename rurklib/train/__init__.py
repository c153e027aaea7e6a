"""Training and fine-tuning: one loop, :func:`rurklib.train.loop.learn`, for everything."""

from rurklib.train.augment import AUGMENTATIONS
from rurklib.train.fit import Engine, fit
from rurklib.train.loop import Batch, BatchNorm, batches, cycled
from rurklib.train.spec import SGD, Recipe

__all__ = [
    "AUGMENTATIONS", "SGD", "Batch", "BatchNorm", "Engine", "Recipe", "batches", "cycled", "fit",
]  # fmt: skip
