"""GD: keep training on the retain set and hope that the rest fades.

Reference: Neel, Roth & Sharifi-Malvajerdi, "Descent-to-Delete", ALT 2021.

Algorithm:
    1. start from Original
    2. minimise  L(w, S_r)  by SGD, for ``epochs`` passes over the retain set

Notes on this implementation: the certificate of the paper needs noise and a convex loss; as a
baseline for deep nets the field runs plain fine-tuning, and so does this. A departure, as in every
method here that has a rate: it falls by half a cosine, RURK's schedule (its B.2), which the
method's own paper doesn't have; ``schedule="constant"`` keeps it.

Hyper-parameters (paper's defaults): epochs 10, lr 1e-2, momentum 0.9, weight_decay 1e-4, batch_size
128, batchnorm "train", schedule "cosine".
"""

from torch import nn

from rurklib.tensors import Pair
from rurklib.train.spec import SGD
from rurklib.unlearn.contract import method


@method("GD", sgd=SGD(), search={"lr": (1e-3, 0.1), "epochs": (1, 20)})
def gd(model: nn.Module, retain: Pair, forget: Pair, *, seed: int, sgd: SGD) -> nn.Module:
    """Fine-tune on the retain set."""
    return sgd.fine_tune(model, retain, seed=seed)
