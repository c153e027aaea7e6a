"""NegGrad+: descend on the retain set while climbing on the forget set.

Reference: Kurmanji et al., "Towards Unbounded Machine Unlearning", NeurIPS 2023 (sec. 5).

Algorithm:
    1. start from Original
    2. for each batch of the retain set take the next batch of the forget set
    3. minimise  L(w, S_r) - beta * L(w, S_f)  by SGD with a clipped gradient

Notes on this implementation: Hsu et al.'s form, RURK without its perturbed term, lambda_f being
beta. Kurmanji et al.'s beta weighs the retain term and 1 - beta the forget term, without a clip:
this beta is their (1 - beta) / beta, this lr their beta * lr. The forget batches start over
(reshuffled) when used up. A departure: the rate falls by half a cosine (RURK's B.2), which this
method's own paper doesn't have; ``schedule="constant"`` keeps it.

Hyper-parameters (paper's defaults): beta 0.001 (weight of the forget term), epochs 1, lr 1e-2,
momentum 0.9, weight_decay 1e-4, clip 1.0, batch_size 128, batchnorm "train", schedule "cosine".
"""

import torch.nn.functional as F
from torch import Tensor, nn

from rurklib.tensors import Pair, generator
from rurklib.train.loop import Batch, cycled
from rurklib.train.spec import SGD
from rurklib.unlearn.contract import method


@method(
    "NegGrad+",
    sgd=SGD(epochs=1, clip=1.0),
    search={"lr": (1e-3, 0.1), "beta": (1e-3, 0.3), "clip": (0.1, 1.0), "epochs": (1, 10)},
)
def neggrad_plus(
    model: nn.Module, retain: Pair, forget: Pair, *, seed: int, beta: float = 0.001, sgd: SGD
) -> nn.Module:
    """Descend on retain, ascend on forget with weight beta."""

    def loss(retained: Batch, forgotten: Batch) -> Tensor:
        (xr, yr), (xf, yf) = retained, forgotten
        return F.cross_entropy(model(xr), yr) - beta * F.cross_entropy(model(xf), yf)

    retained = sgd.batches(retain, generator(seed, 1))
    forgotten = cycled(*forget, size=sgd.batch_size, generator=generator(seed, 2))
    data = zip(retained, forgotten, strict=False)
    return sgd.minimise(model, loss, data, steps=sgd.steps(len(retain[0])))
