"""SSD: shrink the weights that matter far more to the forget set than to the rest.

Reference: Foster, Schoepf & Brintrup, "Fast Machine Unlearning Without Retraining Through Selective
Synaptic Dampening", AAAI 2024.

Algorithm:
    1. F_f, F_r: diagonal Fisher information on the forget and the retain set, at Original
    2. select the weights i with  F_f,i > alpha * F_r,i
    3. w_i <- beta_i w_i  with  beta_i = min(lambda * F_r,i / F_f,i, 1); the others stay

Notes on this implementation: no training and no randomness. SSD's authors compare with F_D, on all
training samples; the RURK paper writes F_r, on the retain set, and so does this. As F_D holds a
share of F_f, the difference matters where the forget set is large: with it, no alpha above
|D| / |S_f| could select a weight. The official code squares the mean gradient of a batch; here the
square is per sample (see ``fisher_information.py``), so values of alpha from there don't carry
over exactly. A weight that no retain sample depends on (F_r,i = 0 < F_f,i) becomes 0.

Hyper-parameters (paper's defaults): alpha 10.0 (selection weight; 100 on small CIFAR-5; math.inf
selects nothing), dampening 1.0 (the paper's lambda, a reserved word in Python), batch_size 16 (that
many copies of the weights are held; the result doesn't depend on it).
"""

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from rurklib import checks
from rurklib.tensors import Pair
from rurklib.unlearn.contract import method
from rurklib.unlearn.fisher_information import diagonal_fisher


def dampening_factor(
    fisher_f: Tensor, fisher_r: Tensor, *, alpha: float, dampening: float
) -> Tensor:
    """beta for each weight: min(dampening * F_r / F_f, 1) if F_f > alpha * F_r, else 1."""
    if alpha == math.inf:  # inf * 0 isn't a number
        return torch.ones_like(fisher_f)
    beta = (dampening * fisher_r / fisher_f).clamp(max=1.0)
    return torch.where(fisher_f > alpha * fisher_r, beta, 1.0)


def dampened(
    model: nn.Module,
    importance: Callable[[Tensor, Tensor], dict[str, Tensor]],
    retain: Pair,
    forget: Pair,
    *,
    alpha: float,
    dampening: float,
) -> nn.Module:
    """Steps 2 and 3 in place, whatever ``importance(x, y)`` says of each weight, by its name.

    Raises InputError for a negative alpha or dampening.
    """
    if alpha != math.inf:
        checks.number("alpha", alpha, low=0.0)
    checks.number("dampening", dampening, low=0.0)
    of_f, of_r = importance(*forget), importance(*retain)
    with torch.no_grad():
        for name, w in model.named_parameters():
            if w.requires_grad:
                pair = of_f[name], of_r[name]
                w.mul_(dampening_factor(*pair, alpha=alpha, dampening=dampening))
    return model


@method("SSD", search={"alpha": (3.0, 300.0), "dampening": (0.1, 3.0)})
def ssd(
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    *,
    seed: int,
    alpha: float = 10.0,
    dampening: float = 1.0,
    batch_size: int = 16,
) -> nn.Module:
    """Dampen the weights that the forget set depends on."""
    importance = partial(diagonal_fisher, model, batch_size=batch_size)
    return dampened(model, importance, retain, forget, alpha=alpha, dampening=dampening)
