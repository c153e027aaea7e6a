"""NGD: keep training on the retain set with Gaussian noise in every gradient.

Reference: Chourasia & Shah, "Forget Unlearning: Towards True Data-Deletion in Machine Learning",
ICML 2023; Chien et al., "Langevin Unlearning", NeurIPS 2024.

Algorithm:
    1. start from Original
    2. at every step draw xi ~ N(0, sigma^2 I), one number for each weight
    3. w <- w - eta (g + xi)  with g the gradient of L(w, S_r), for ``epochs`` passes

Notes on this implementation: the paper says "as GD, with (sigma, eta)". Momentum is 0 here: the
update as printed has none, nor has the Langevin code that the paper follows, and GD's 0.9 would
make both the step and the noise that has piled up ten times as large. (That code scales the noise
as sqrt(2 eta) sigma xi; the paper as eta sigma xi, and so does this.) A departure: the rate falls
by half a cosine (RURK's B.2), which this method's own papers don't have, and with it the noise, to
0; ``schedule="constant"`` keeps both. No clipping, so nothing shortens xi. The certificates need
bounded gradients and a projection; as a baseline for deep nets the field runs neither.

Hyper-parameters (paper's defaults): sigma 0.03 (noise added to the gradient), lr 0.1 (eta), epochs
10 (2 on CIFAR-10), weight_decay 1e-4, batch_size 128; momentum 0.0, batchnorm "train", schedule
"cosine".
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rurklib import checks
from rurklib.tensors import Pair, generator
from rurklib.train.spec import SGD
from rurklib.unlearn.contract import method


def noise_term(weights: list[nn.Parameter], sigma: float, generator: torch.Generator) -> Tensor:
    """sigma * <xi, w> with a fresh xi ~ N(0, I): its gradient by w is the noise sigma * xi.

    Added to a loss, it adds exactly that noise to the loss's gradient, whatever the optimiser.
    """
    total = torch.zeros((), device=weights[0].device)
    for w in weights:
        xi = torch.randn(w.shape, generator=generator, device=w.device, dtype=w.dtype)
        total = total + sigma * (xi * w).sum()
    return total


@method(
    "NGD",
    sgd=SGD(lr=0.1, momentum=0.0),
    search={"lr": (1e-2, 0.5), "sigma": (1e-3, 0.3), "epochs": (1, 20)},
)
def ngd(
    model: nn.Module, retain: Pair, forget: Pair, *, seed: int, sigma: float = 0.03, sgd: SGD
) -> nn.Module:
    """Fine-tune on the retain set with noisy gradients."""
    checks.number("sigma", sigma, low=0.0)
    weights = [p for p in model.parameters() if p.requires_grad]
    noise = generator(seed, 3, device=weights[0].device)

    def loss(x: Tensor, y: Tensor) -> Tensor:
        return F.cross_entropy(model(x), y) + noise_term(weights, sigma, noise)

    data = sgd.batches(retain, generator(seed, 1))
    return sgd.minimise(model, loss, data, steps=sgd.steps(len(retain[0])))
