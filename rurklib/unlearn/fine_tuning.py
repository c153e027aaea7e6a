"""What several methods end with: learn some samples with some labels."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import nn

from rurklib.rng import generator
from rurklib.train.loop import batches, descend
from rurklib.unlearn.contract import Pair


def fine_tuned(
    model: nn.Module,
    data: Pair,
    *,
    seed: int,
    epochs: int,
    batch_size: int,
    learner: nn.Module | None = None,
    **how: Any,
) -> nn.Module:
    """Minimise the mean cross-entropy of ``model`` on ``data`` in place, for ``epochs`` passes.

    ``learner`` is the part of the model that learns (default: all of it), and is returned; ``how``
    goes to :func:`rurklib.train.descend`.
    """
    x, y = data
    return descend(
        model if learner is None else learner,
        lambda x, y: F.cross_entropy(model(x), y),
        batches(x, y, size=batch_size, epochs=epochs, generator=generator(seed, 1)),
        steps=epochs * -(-len(x) // batch_size),
        **how,
    )
