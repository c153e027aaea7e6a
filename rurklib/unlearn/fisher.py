"""Fisher: noise on the weights, most where the retain set doesn't need them.

Reference: Golatkar, Achille & Soatto, "Eternal Sunshine of the Spotless Net", CVPR 2020.

Algorithm:
    1. start from Original
    2. B = diagonal of the Fisher information on the retain set, labels drawn from the model:
       B_i = mean over x of  sum over classes c of  p(c | x) (d/dw_i log p(c | x))^2
    3. w <- w + n,  n ~ N(0, alpha / B)

Notes on this implementation: the expectation over labels is exact, as in the official code (one
backward pass a class); with the given labels a well-fitted net has gradients near zero, and B comes
out a thousand times smaller (digits). The variance before alpha is 1 / (B + 1e-8), at most
``ceiling``, as there: a weight that the retain set never uses would else be drowned. Note that a
net at accuracy 1 has B below 1e-3 almost everywhere, so that the noise is nearly white under the
official ceiling; 1e4 with a smaller alpha lets B speak. Variance alpha / B is the official code's
and Hsu et al.'s; the paper derives one proportional to B^(-1/2). Left out are the code's rules that
the paper doesn't state: variances averaged over a layer's inputs, ten times more on BatchNorm and
the last layer (under a lower ceiling, 1e2, there), the forgotten class's row set to zero.
BatchNorm's running statistics stay.

Hyper-parameters (paper's defaults, "as official"): alpha 1e-6 (units: squared weight times
information of one sample; official 1e-7 to 3e-6), ceiling 1e3 (of the variance before alpha),
batch_size 64 (only for memory).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rurklib import checks
from rurklib.tensors import Pair, generator
from rurklib.unlearn.contract import method
from rurklib.unlearn.fisher_information import diagonal_fisher


class _Weighted(nn.Module):
    """``net`` with the gradient of log p(label | x) scaled by sqrt(p(label | x)), not its value.

    So the squares that :func:`diagonal_fisher` averages come with their weight in the expectation.
    Every class's log p is scaled alike: the softmax outside then subtracts their mean, which is 0.
    """

    def __init__(self, net: nn.Module, label: int) -> None:
        super().__init__()
        self.net, self.label = net, label

    def forward(self, x: Tensor) -> Tensor:
        log_p = F.log_softmax(self.net(x), 1)
        root = log_p[:, self.label, None].detach().mul(0.5).exp()
        return root * log_p + ((1 - root) * log_p).detach()


def expected_fisher(
    model: nn.Module, x: Tensor, classes: int, *, batch_size: int = 64
) -> dict[str, Tensor]:
    """Step 2: the diagonal of the Fisher information, by the names of ``model``'s parameters."""
    total = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for c in range(classes):
        label = torch.full((len(x),), c, device=x.device)
        part = diagonal_fisher(_Weighted(model, c), x, label, batch_size=batch_size)
        for name, t in total.items():
            t += part[f"net.{name}"]
    return total


@method("Fisher", search={"alpha": (1e-9, 1e-5), "ceiling": (1e2, 1e5)})
@torch.no_grad()
def fisher(
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    *,
    seed: int,
    alpha: float = 1e-6,
    ceiling: float = 1e3,
    batch_size: int = 64,
) -> nn.Module:
    """Add Gaussian noise of variance alpha / B to every weight."""
    checks.number("alpha", alpha, low=0.0)
    checks.number("ceiling", ceiling, low=0.0)
    classes = checks.logits(model, *retain)
    information = expected_fisher(model, retain[0], classes, batch_size=batch_size)
    noise = generator(seed, 3, device=retain[0].device)
    for name, p in model.named_parameters():
        if p.requires_grad:
            variance = alpha * (1 / (information[name] + 1e-8)).clamp(max=ceiling)
            draw = torch.randn(p.shape, generator=noise, device=p.device, dtype=p.dtype)
            p.add_(variance.sqrt() * draw)
    return model
