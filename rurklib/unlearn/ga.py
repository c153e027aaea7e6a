"""GA: climb the loss of the forget set.

Reference: Graves, Nagisetty & Ganesh, "Amnesiac Machine Learning", AAAI 2021; Jang et al.,
"Knowledge Unlearning", ACL 2023.

Algorithm:
    1. start from Original
    2. minimise  -L(w, S_f)  by SGD, for ``epochs`` passes over the forget set

Notes on this implementation: nothing holds the retain set, and -L has no lower bound, so a few
steps too many destroy the model. With ``batchnorm="train"`` the running statistics drift to those
of one class, which does damage of its own; the paper doesn't say which it used.

Hyper-parameters (paper's defaults): epochs 1, lr 1e-5, momentum 0.9, weight_decay 1e-4, clip 1.0
(bound on the gradient's norm), batch_size 128, batchnorm "train".
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import nn

from rurklib.rng import generator
from rurklib.train.loop import BatchNorm, batches, descend
from rurklib.unlearn.contract import Pair, method


@method("GA", search={"lr": (1e-5, 1e-2), "epochs": (1, 10)})
def ga(
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    *,
    seed: int = 0,
    epochs: int = 1,
    lr: float = 1e-5,
    momentum: float = 0.9,
    weight_decay: float = 1e-4,
    clip: float | None = 1.0,
    batch_size: int = 128,
    batchnorm: BatchNorm = "train",
) -> nn.Module:
    """Gradient ascent on the forget set."""
    data = batches(*forget, size=batch_size, epochs=epochs, generator=generator(seed, 1))
    return descend(
        model,
        lambda x, y: -F.cross_entropy(model(x), y),
        data,
        steps=epochs * -(-len(forget[0]) // batch_size),
        lr=lr,
        momentum=momentum,
        weight_decay=weight_decay,
        clip=clip,
        batchnorm=batchnorm,
    )
