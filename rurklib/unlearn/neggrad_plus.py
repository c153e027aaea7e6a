"""NegGrad+: descend on the retain set while climbing on the forget set.

Reference: Kurmanji et al., "Towards Unbounded Machine Unlearning", NeurIPS 2023 (sec. 5).

Algorithm:
    1. start from Original
    2. for each batch of the retain set take the next batch of the forget set
    3. minimise  L(w, S_r) - beta * L(w, S_f)  by SGD with a clipped gradient

Notes on this implementation: RURK without its perturbed term, lambda_f being beta. The forget
batches start over (reshuffled) when used up.

Hyper-parameters (paper's defaults): beta 0.001 (weight of the forget term), epochs 1, lr 1e-2,
momentum 0.9, weight_decay 1e-4, clip 1.0, batch_size 128, batchnorm "train".
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from rurklib.rng import generator
from rurklib.train.loop import Batch, BatchNorm, batches, cycled, descend
from rurklib.unlearn.contract import Pair, method


@method(
    "NegGrad+",
    search={"lr": (1e-3, 0.1), "beta": (1e-3, 0.3), "clip": (0.1, 1.0), "epochs": (1, 10)},
)
def neggrad_plus(
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    *,
    seed: int = 0,
    beta: float = 0.001,
    epochs: int = 1,
    lr: float = 1e-2,
    momentum: float = 0.9,
    weight_decay: float = 1e-4,
    clip: float | None = 1.0,
    batch_size: int = 128,
    batchnorm: BatchNorm = "train",
) -> nn.Module:
    """Descend on retain, ascend on forget with weight beta."""

    def loss(retained: Batch, forgotten: Batch) -> Tensor:
        (xr, yr), (xf, yf) = retained, forgotten
        return F.cross_entropy(model(xr), yr) - beta * F.cross_entropy(model(xf), yf)

    kept = batches(*retain, size=batch_size, epochs=epochs, generator=generator(seed, 1))
    lost = cycled(*forget, size=batch_size, generator=generator(seed, 2))
    return descend(
        model,
        loss,
        zip(kept, lost, strict=False),
        steps=epochs * -(-len(retain[0]) // batch_size),
        lr=lr,
        momentum=momentum,
        weight_decay=weight_decay,
        clip=clip,
        batchnorm=batchnorm,
    )
