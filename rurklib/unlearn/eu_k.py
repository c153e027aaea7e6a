"""EU-k: exact unlearning of the last k layers; train them anew and freeze the rest.

Reference: Goel et al., "Towards Adversarial Evaluations for Inexact Machine Unlearning",
arXiv 2201.06640, 2022.

Algorithm:
    1. start from Original; re-initialise the last k layers
    2. freeze the others
    3. minimise  L(w, S_r)  over the last k layers by SGD, for ``epochs`` passes

Notes on this implementation: what the forget samples taught the frozen layers stays, so only the
last k are exact. What a layer is, and what frozen means for BatchNorm, is said in
``last_layers.py``. New weights come from each module's own ``reset_parameters`` (PyTorch's default,
which for torchvision's ResNet isn't the one that it was built with). Dropout stays off. A
departure: the rate falls by half a cosine (RURK's B.2), which this method's own paper doesn't have;
``schedule="constant"`` keeps it.

Hyper-parameters (paper's defaults): k None (5, but at most half of the layers), epochs 10, lr 1e-2,
momentum 0.9, weight_decay 1e-4, batch_size 128, batchnorm "train" (of the trained layers), schedule
"cosine".
"""

from torch import nn

from rurklib.tensors import Pair
from rurklib.train.spec import SGD
from rurklib.unlearn.contract import method
from rurklib.unlearn.last_layers import fine_tune, last_layers, reset


@method("EU-k", sgd=SGD(), search={"lr": (3e-3, 0.1), "epochs": (5, 30), "k": [1, 2, 3, 5]})
def eu_k(
    model: nn.Module, retain: Pair, forget: Pair, *, seed: int, k: int | None = None, sgd: SGD
) -> nn.Module:
    """Re-initialise the last k layers and train them on the retain set."""
    last = last_layers(model, k)
    reset(last, seed)
    return fine_tune(model, last, retain, seed=seed, sgd=sgd)
