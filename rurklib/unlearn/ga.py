"""GA: climb the loss of the forget set.

Reference: Graves, Nagisetty & Ganesh, "Amnesiac Machine Learning", AAAI 2021; Jang et al.,
"Knowledge Unlearning", ACL 2023.

Algorithm:
    1. start from Original
    2. minimise  -L(w, S_f)  by SGD, for ``epochs`` passes over the forget set

Notes on this implementation: so cited by Hsu et al. (Graves et al. subtract logged updates).
Nothing holds the retain set, so a few steps too many destroy the model. With ``batchnorm="train"``
(no paper says) running statistics drift to those of one class, and at Hsu et al.'s rate that is all
that happens: on all of CIFAR-10 no weight moves by more than 4e-5, forget accuracy falls
from 93 to 30 %, and with frozen statistics it stays (first edition:
``git show 3a42100:tests/benchmarks/batchnorm.py``). A departure:
the rate falls by half a cosine (B.2); ``schedule="constant"`` keeps it.

Hyper-parameters (paper's defaults): epochs 1, lr 1e-5, momentum 0.9, weight_decay 1e-4, clip 1.0
(bound on the gradient's norm), batch_size 128, batchnorm "train", schedule "cosine".
"""

import torch.nn.functional as F
from torch import nn

from rurklib.tensors import Pair, generator
from rurklib.train.spec import SGD
from rurklib.unlearn.contract import method


@method("GA", sgd=SGD(epochs=1, lr=1e-5, clip=1.0), search={"lr": (1e-5, 1e-2), "epochs": (1, 10)})
def ga(model: nn.Module, retain: Pair, forget: Pair, *, seed: int, sgd: SGD) -> nn.Module:
    """Gradient ascent on the forget set."""
    return sgd.minimise(
        model,
        lambda x, y: -F.cross_entropy(model(x), y),
        sgd.batches(forget, generator(seed, 1)),
        steps=sgd.steps(len(forget[0])),
    )
