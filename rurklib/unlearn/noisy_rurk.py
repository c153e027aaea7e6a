"""NoisyRURK: RURK by projected noisy gradient descent, with the bound on what is left of its start.

Reference: Hsu et al. 2025 (RURK), B.2: "with projected noisy GD it would be certified"; not run
there. Chien et al., "Langevin Unlearning", NeurIPS 2024. The bound: Feldman, Mironov, Talwar &
Thakurta, "Privacy Amplification by Iteration", FOCS 2018, Theorem 22.

Algorithm:
    1. start from Original
    2. at every step, on all samples,  w <- Proj_R(w - eta grad L_RURK + sqrt(2 eta sigma^2) W),
       W ~ N(0, I), Proj_R onto the ball of radius R around 0 in the space of weights

Notes on this implementation: a step takes the whole gradient, not a batch's, as the theory does, at
a constant rate; fresh copies x' are drawn for each step. The net is in eval mode throughout, so
BatchNorm's running statistics neither move nor leak; weights that the user froze stay, and count
neither for the noise nor for R. No momentum, no weight decay, no clip: the map of a step has to be
one whose Lipschitz constant is known. Without a clip nothing but few and short steps holds back the
ascent on the forget set, and it is the price of the theory: on digits, from an Original whose
weights have norm 14, fifty steps at lr 0.1 with both lambdas 0.03 leave 10 % retain accuracy.

What :func:`renyi_epsilon` gives is no property of a deep net. It takes as given how much a step can
part two weights (1 for a convex loss and eta <= 2 / beta; 1 + eta beta for a loss with a beta-
Lipschitz gradient alone), which nobody knows for one. And Original has to lie in the ball already,
or is put there by the first step: then what is certified began one step later. In those fifty
steps, with sigma 0.01, R = 15 and order 2, epsilon would be 9e5 even if the loss were convex: that
is no certificate.

Hyper-parameters (none in the paper): sigma 0.001, radius 100.0 (R; math.inf: no projection), steps
20, lr 0.01 (eta); tau 0.03, lambda_f 0.03, lambda_a 0.03, v 1 as RURK's; batch_size 1024 (retain
samples at a time: memory, not the algorithm).
"""

import math
from collections.abc import Sequence
from itertools import zip_longest

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rurklib import checks
from rurklib.rng import generator
from rurklib.samples import Bounds, Pair, as_float
from rurklib.unlearn.contract import method
from rurklib.unlearn.rurk import rurk_loss


@torch.no_grad()
def noisy_step(
    weights: Sequence[Tensor], *, lr: float, sigma: float, radius: float, generator: torch.Generator
) -> None:
    """w <- Proj_R(w - lr w.grad + sqrt(2 lr sigma^2) W) in place, all weights as one vector."""
    for w in weights:
        xi = torch.randn(w.shape, generator=generator, device=w.device, dtype=w.dtype)
        if w.grad is not None:
            w.sub_(lr * w.grad)
        w.add_(math.sqrt(2 * lr) * sigma * xi)
    length = torch.stack([w.double().norm() for w in weights]).norm()
    if length > radius:
        for w in weights:
            w.mul_(radius / length)


def renyi_epsilon(
    order: float,
    *,
    radius: float,
    lr: float,
    sigma: float,
    steps: int,
    lipschitz: float = 1.0,
    apart: float = 0.0,
) -> float:
    """A bound on the Renyi divergence of this ``order`` > 1 between what two starts end as.

    Two runs of ``steps`` noisy projected steps begin anywhere in the ball: from Original, and from
    a model that never saw the forget set. The maps w -> w - lr grad L(w) are ``lipschitz``, and
    those of the two runs differ by lr * ``apart`` at most. With apart = 0 both follow L_RURK: what
    is bounded is the memory of the *start*; L_RURK itself looks at the forget set. With apart =
    (lambda_f + lambda_a) G, where G bounds the norms of the gradients of the forget and perturbed
    terms, the second run follows the retain loss alone, as Langevin unlearning's does; G, and with
    it epsilon, grows with tau. In the last k steps the noise has to cover the distance 2 R and what
    is added on the way: shifts a_t = lr apart + b_t, with b_t ~ lipschitz^(k - t) and sum of
    lipschitz^(k - t) b_t = lipschitz^k 2 R, cost order * sum a_t^2 / (4 lr sigma^2), for any k. The
    least over k is returned, in nats; infinity without noise or ball. (epsilon + log(1 / delta) /
    (order - 1), delta)-unlearning follows. Raises InputError for values out of range.
    """
    checks.number("order", order, 1.0)
    checks.count("steps", steps)
    given = {"radius": radius, "lr": lr, "sigma": sigma, "lipschitz": lipschitz, "apart": apart}
    for name, value in given.items():
        if not value >= 0:
            raise checks.InputError(f"{name} = {value!r}: expected a number of at least 0")
    if not lr * sigma or radius == math.inf:
        return math.inf
    best, powers, total = math.inf, 0.0, 0.0  # sums of c^2(k - t) and c^(k - t)
    for k in range(1, steps + 1):
        grown = lipschitz ** (k - 1)
        if grown > 1e150:  # its square would overflow; the cost hardly moves any more
            break
        powers, total = powers + grown**2, total + grown
        gone = 2 * radius * lipschitz**k  # of the distance at the start, at the end
        cost = gone**2 / powers + 2 * lr * apart * gone * total / powers + k * (lr * apart) ** 2
        best = min(best, cost)
    return order * best / (4 * lr * sigma**2)


@method(
    "NoisyRURK",
    search={
        "sigma": (1e-4, 1e-2),
        "lr": (1e-3, 0.03),
        "steps": (5, 50),
        "tau": (0.02, 0.2),
        "lambda_f": (0.03, 0.3),
        "lambda_a": (0.03, 0.3),
    },
)
def noisy_rurk(
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    *,
    seed: int,
    sigma: float = 0.001,
    radius: float = 100.0,
    steps: int = 20,
    lr: float = 0.01,
    tau: float = 0.03,
    lambda_f: float = 0.03,
    lambda_a: float = 0.03,
    v: int = 1,
    batch_size: int = 1024,
    bounds: Bounds = (0.0, 1.0),
) -> nn.Module:
    """Take noisy projected steps on the RURK loss of all samples."""
    checks.number("sigma", sigma, low=0.0)
    checks.count("steps", steps)
    checks.count("batch_size", batch_size)
    n, m = len(retain[0]), len(forget[0])
    pieces = -(-n // batch_size)
    cuts = [torch.arange(k).tensor_split(min(pieces, k)) for k in (n, m)]
    ranges = [[slice(int(part[0]), int(part[-1]) + 1) for part in cut] for cut in cuts]
    parts = list(zip_longest(*ranges))  # the last ones without forget samples, if those are few
    weights = [p for p in model.parameters() if p.requires_grad]
    copies, noise = (generator(seed, k, device=weights[0].device) for k in (3, 4))
    for _ in range(steps):
        model.eval().zero_grad(set_to_none=True)
        for a, b in parts:
            kept = as_float(retain[0][a]), retain[1][a]
            if b is None:
                loss = F.cross_entropy(model(kept[0]), kept[1])
                (loss * (len(kept[1]) / n)).backward()
                continue
            lost = as_float(forget[0][b]), forget[1][b]
            terms = rurk_loss(model, kept, lost, tau=tau, v=v, generator=copies, bounds=bounds)
            ascent = lambda_f * terms.forget + lambda_a * terms.perturbed
            (terms.retain * (len(kept[1]) / n) - ascent * (len(lost[1]) / m)).backward()
        noisy_step(weights, lr=lr, sigma=sigma, radius=radius, generator=noise)
    model.zero_grad(set_to_none=True)
    return model
