"""RURK: robust unlearning that suppresses residual knowledge.

Reference: Hsu et al., "The Unseen Threat: Residual Knowledge in Machine Unlearning under Perturbed
Samples", NeurIPS 2025 (arXiv 2601.22359), Eq. 6 and Algorithm 1.

Algorithm:
    1. start from Original
    2. for each batch of the retain set take the next batch (x, y) of the forget set
    3. draw v perturbed copies x' of each x within tau: the vulnerable set V
    4. minimise  L(w, retain) - lambda_f * L(w, forget) - lambda_a * mean over V of L(w, (x', y))

Notes on this implementation: Algorithm 1 prints ``w + grad Loss``; descent is meant. Eq. 6 has one
lambda and no clean forget term: that is lambda_f = 0. V is the whole ball (the paper's choice for
speed): copies are kept whether or not the model still recognises them. What the paper doesn't say
and what decides the outcome is BatchNorm: in train mode a batch of forget samples alone is
normalised by its own statistics, not those that the model is used with; the gradient then
over-forgets. ``batchnorm="frozen"`` (default here) is the mend; "train" is what
``model.train()`` in the usual training loop does.

Hyper-parameters (paper's defaults): tau 0.03 (units of the input), lambda_f 0.03, lambda_a 0.03
(0.00045 on CIFAR-10), v 1 (copies a sample), perturbation "gaussian" (a name in perturb.LAWS),
epochs 2, lr 1e-2, momentum 0.9, weight_decay 5e-4, clip 1.0, batch_size 128.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rurklib import check
from rurklib.guard import generator
from rurklib.methods.contract import Pair, method
from rurklib.perturb import LAWS
from rurklib.train import BatchNorm, batches, cycled, descend
from rurklib.train.loop import Batch


class RurkLoss(NamedTuple):
    """The terms of the RURK loss, each a scalar; ``total`` is what is minimised."""

    total: Tensor
    retain: Tensor
    forget: Tensor
    perturbed: Tensor


def rurk_loss(
    model: nn.Module,
    retain: Batch,
    forget: Batch,
    *,
    tau: float = 0.03,
    lambda_f: float = 0.03,
    lambda_a: float = 0.03,
    v: int = 1,
    perturbation: str = "gaussian",
    generator: torch.Generator,
    bounds: check.Bounds = (0.0, 1.0),
) -> RurkLoss:
    """total = retain - lambda_f * forget - lambda_a * perturbed (Algorithm 1, line 17).

    ``retain`` and ``forget`` are batches (x [n, ...] float inside ``bounds``, y int64 [n]); the
    three losses are mean cross-entropies, ``perturbed`` over v copies of each forget sample
    (kappa in Eq. 6). The model is used in the mode that it is in. Raises InputError for a
    negative tau or weight, or an unknown perturbation.
    """
    law = LAWS[check.one_of("perturbation", perturbation, LAWS)]
    check.number("tau", tau, low=0.0)
    check.number("lambda_f", lambda_f, low=0.0)
    check.number("lambda_a", lambda_a, low=0.0)
    check.count("v", v)
    (xr, yr), (xf, yf) = retain, forget
    with torch.no_grad():  # x' is data: no gradient flows through how it was found
        copies = [law.draw(model, xf, yf, tau, generator, bounds) for _ in range(v)]
    kept = F.cross_entropy(model(xr), yr)
    clean = F.cross_entropy(model(xf), yf)
    perturbed = F.cross_entropy(model(torch.cat(copies)), yf.repeat(v))
    return RurkLoss(kept - lambda_f * clean - lambda_a * perturbed, kept, clean, perturbed)


@method(
    "RURK",
    search={
        "tau": (0.01, 0.3),
        "lambda_f": (3e-3, 0.3),
        "lambda_a": (3e-3, 0.3),
        "lr": (3e-3, 0.1),
        "clip": (0.03, 1.0),
        "epochs": (1, 10),
    },
)
def rurk(
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    *,
    seed: int = 0,
    tau: float = 0.03,
    lambda_f: float = 0.03,
    lambda_a: float = 0.03,
    v: int = 1,
    perturbation: str = "gaussian",
    epochs: int = 2,
    lr: float = 1e-2,
    momentum: float = 0.9,
    weight_decay: float = 5e-4,
    clip: float | None = 1.0,
    batch_size: int = 128,
    batchnorm: BatchNorm = "frozen",
    bounds: check.Bounds = (0.0, 1.0),
) -> nn.Module:
    """Fine-tune with :func:`rurk_loss` (Algorithm 1)."""
    noise = generator(seed, 3, device=retain[0].device)

    def loss(retained: Batch, forgotten: Batch) -> Tensor:
        return rurk_loss(
            model,
            retained,
            forgotten,
            tau=tau,
            lambda_f=lambda_f,
            lambda_a=lambda_a,
            v=v,
            perturbation=perturbation,
            generator=noise,
            bounds=bounds,
        ).total

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
