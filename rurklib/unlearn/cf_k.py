"""CF-k: catastrophic forgetting of the last k layers; fine-tune them and freeze the rest.

Reference: Goel et al., "Towards Adversarial Evaluations for Inexact Machine Unlearning",
arXiv 2201.06640, 2022.

Algorithm:
    1. start from Original
    2. freeze every layer but the last k
    3. minimise  L(w, S_r)  over the last k layers by SGD, for ``epochs`` passes

Notes on this implementation: EU-k without its first step; GD when k is the number of layers. What a
layer is, and what frozen means for BatchNorm, is said in ``last_layers.py``. Dropout isn't a layer
with weights and stays off. A departure: the rate falls by half a cosine (RURK's B.2), which this
method's own paper doesn't have; ``schedule="constant"`` keeps it.

Hyper-parameters (paper's defaults): k None (5, but at most half of the layers), epochs 10, lr 1e-2,
momentum 0.9, weight_decay 1e-4, batch_size 128, batchnorm "train" (of the trained layers), schedule
"cosine".
"""

from torch import nn

from rurklib.tensors import Pair
from rurklib.train.spec import SGD
from rurklib.unlearn.contract import method
from rurklib.unlearn.last_layers import fine_tune, last_layers


@method("CF-k", sgd=SGD(), search={"lr": (1e-3, 0.1), "epochs": (2, 30), "k": [1, 2, 3, 5]})
def cf_k(
    model: nn.Module, retain: Pair, forget: Pair, *, seed: int, k: int | None = None, sgd: SGD
) -> nn.Module:
    """Fine-tune the last k layers on the retain set."""
    return fine_tune(model, last_layers(model, k), retain, seed=seed, sgd=sgd)
