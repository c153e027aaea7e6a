"""BadTeacher: a student that is taught by Original what to keep and by a blank net what to forget.

Reference: Chundawat, Tarun, Mandal & Kankanhalli, "Can Bad Teaching Induce Forgetting? Unlearning
in Deep Networks Using an Incompetent Teacher", AAAI 2023.

Algorithm:
    1. student <- Original; competent teacher <- Original; incompetent teacher <- the same net,
       initialised at random and never trained
    2. minimise  KL(T || student)  by SGD, averaged over retain and forget samples alike, with T the
       competent teacher's output for a retain sample, the incompetent one's for a forget sample

Notes on this implementation: as in the paper, a share of the retain set does, drawn once. Retain
and forget samples share batches. No labels are used. Both teachers are in eval mode; the blank
net's BatchNorm has its initial statistics there. The paper's optimiser is Adam with lr 1e-4; SGD
needs more, so lr is that of the other methods. A departure: the rate falls by half a cosine (RURK's
B.2), which this method's own paper doesn't have; ``schedule="constant"`` keeps it. KL is SCRUB's,
with the factor temperature^2, a mean over samples; the official code divides by the classes too.

Hyper-parameters (paper's defaults): temperature 1.0, retain_share 0.3, epochs 1; lr 1e-2, momentum
0.9, weight_decay 0.0, batch_size 128 (256 there), batchnorm "train", schedule "cosine".
"""

import copy
import math

import torch
from torch import Tensor, nn

from rurklib import checks
from rurklib.tensors import Pair, generator
from rurklib.train.spec import SGD
from rurklib.unlearn.contract import method
from rurklib.unlearn.last_layers import reset
from rurklib.unlearn.soft_and_wrong_labels import distillation_kl


def taught(competent: Tensor, incompetent: Tensor, forgotten: Tensor) -> Tensor:
    """Logits [n, classes] to learn: the incompetent teacher's where ``forgotten`` (bool [n]), else
    the competent one's."""
    return torch.where(forgotten[:, None], incompetent, competent)


@method(
    "BadTeacher",
    sgd=SGD(epochs=1, weight_decay=0.0),
    search={
        "lr": (1e-3, 0.3),
        "epochs": (1, 10),
        "retain_share": (0.1, 1.0),
        "temperature": (0.5, 4.0),
    },
)
def bad_teacher(
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    *,
    seed: int,
    temperature: float = 1.0,
    retain_share: float = 0.3,
    sgd: SGD,
) -> nn.Module:
    """Distil from Original on retain and from an untrained net on forget."""
    checks.number("temperature", temperature, low=1e-6)
    checks.number("retain_share", retain_share, 0.0, 1.0)
    competent, incompetent = copy.deepcopy(model).eval(), copy.deepcopy(model).eval()
    reset([incompetent], seed, frozen_too=True)
    n = math.ceil(retain_share * len(retain[0]))
    some = torch.randperm(len(retain[0]), generator=generator(seed, 3))[:n].to(retain[0].device)
    x = torch.cat([retain[0][some], forget[0]])
    forgotten = torch.arange(len(x), device=x.device) >= n

    def loss(x: Tensor, forgotten: Tensor) -> Tensor:
        with torch.no_grad():
            target = taught(competent(x), incompetent(x), forgotten)
        return distillation_kl(model(x), target, temperature)

    data = sgd.batches((x, forgotten), generator(seed, 1))
    return sgd.minimise(model, loss, data, steps=sgd.steps(len(x)))
