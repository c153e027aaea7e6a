"""Train a classifier: Original on retain + forget, a re-trained reference on retain alone."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from rurklib.guard import generator, seeded
from rurklib.train.loop import batches, descend


def fit(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    seed: int,
    epochs: int,
    lr: float,
    batch_size: int = 128,
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
) -> nn.Module:
    """Train ``model`` in place on (x, y) and return it in eval mode.

    SGD with momentum on the mean cross-entropy, cosine schedule; ``seed`` decides the order of
    batches. x [n, ...] uint8 or float on the model's device, y int64 [n].
    """
    stream = batches(x, y, size=batch_size, epochs=epochs, generator=generator(seed, 10))
    with seeded(seed):  # for layers that draw random numbers themselves, such as dropout
        return descend(
            model,
            lambda xb, yb: F.cross_entropy(model(xb), yb),
            stream,
            steps=epochs * -(-len(x) // batch_size),
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
        )
