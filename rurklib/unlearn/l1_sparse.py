"""l1-sparse: keep training on the retain set while small weights are driven to zero.

Reference: Jia et al., "Model Sparsity Can Simplify Machine Unlearning", NeurIPS 2023 (Eq. 3).

Algorithm:
    1. start from Original
    2. minimise  L(w, S_r) + gamma_t * ||w||_1  by SGD, for ``epochs`` passes over the retain set;
       gamma_t falls in a straight line from gamma at the first step to 0 after the last

Notes on this implementation: in the official code gamma falls by epochs, here by steps, so that it
falls within a single epoch too. The norm is over every weight that learns, biases and BatchNorm's
included, as there. A subgradient step hardly ever ends at exactly 0. With gamma = 0 this is GD. A
departure: the rate falls by half a cosine (RURK's B.2), which this method's own paper doesn't have;
``schedule="constant"`` keeps it.

Hyper-parameters (the official code's defaults): epochs 10, lr 1e-2, momentum 0.9, weight_decay
5e-4; gamma 5e-4 (0.2 there; what is much depends on the net and on how long it is trained: tune
it), batch_size 128 (256 there), batchnorm "train", schedule "cosine".
"""

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rurklib import checks
from rurklib.tensors import Pair, generator
from rurklib.train.spec import SGD
from rurklib.unlearn.contract import method


@method(
    "l1-sparse",
    sgd=SGD(weight_decay=5e-4),
    search={"gamma": (1e-5, 1e-2), "lr": (1e-3, 0.1), "epochs": (1, 20)},
)
def l1_sparse(
    model: nn.Module, retain: Pair, forget: Pair, *, seed: int, gamma: float = 5e-4, sgd: SGD
) -> nn.Module:
    """Fine-tune on the retain set with a fading L1 penalty."""
    checks.number("gamma", gamma, low=0.0)
    steps, step = sgd.steps(len(retain[0])), itertools.count()

    def loss(x: Tensor, y: Tensor) -> Tensor:
        penalty = torch.stack([p.abs().sum() for p in model.parameters()]).sum()
        return F.cross_entropy(model(x), y) + gamma * (1 - next(step) / steps) * penalty

    return sgd.minimise(model, loss, sgd.batches(retain, generator(seed, 1)), steps=steps)
