"""JiT: make the net flat around each forget sample, knowing nothing but those samples.

Reference: Foster et al., "Zero-Shot Machine Unlearning at Scale via Lipschitz Regularization",
2024 (arXiv 2402.01401); later "An Information Theoretic Approach to Machine Unlearning", TMLR 2025.

Algorithm:
    1. start from Original; for each batch of the forget set draw v noisy copies x' = x + tau * z
    2. k = mean over samples and copies of  ||m(x) - m(x')|| / ||x - x'||,  m(x) the logits: an
       estimate of the Lipschitz constant around x
    3. minimise k by SGD; no retain sample and no label is used

What it has to do with residual knowledge: the copies are those on which r_tau is counted, and those
that RURK draws. RURK lowers how often they are recognised; JiT wants x and its copies to be given
the same logits. Where that costs x its class, the copies lose it too. Where it doesn't, a net that
is flat around x recognises copies as surely as x itself, and r_tau grows.

Notes on this implementation: two readings of step 3 differ in kind. In the official code m(x') is a
constant, ``gradient="clean"``, the default: m(x) is pulled to where its copies are, not they to it,
and of a linear model nothing is smoothed on average. As the paper's Algorithm 1 reads both m(x) and
m(x') learn, ``gradient="both"``: the net does become flat (and the bias of a last layer stays, for
it cancels), but on digits, with frozen statistics, it gave up the other classes first. Copies are
clipped to the bounds, and ||x - x'|| is what is left, as in the code (whose bounds are those of the
batch). k is a mean over samples, the code's a sum over batches of 128. The code leaves the net in
train mode: BatchNorm's running statistics drift to those of the forget set, which by itself gives
away some of the class; "frozen" keeps them, and gives each sample a k of its own. A departure: the
rate falls by half a cosine (RURK's B.2), which this method's own paper doesn't have;
``schedule="constant"`` keeps it.

Hyper-parameters: tau 0.03 (units of the input; the official code's default of 0.1 for inputs
divided by 0.27; for VGG it passes 0.5 or 0.01), lr 0.01 (its 0.0003 for VGG, and the sum over 128),
v 25, gradient "clean", epochs 1, momentum 0.0, weight_decay 0.0, batch_size 128, batchnorm "train",
schedule "cosine".
"""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from rurklib import checks
from rurklib.perturb.ball import inside, norm
from rurklib.perturb.noise import normal
from rurklib.tensors import Bounds, Pair, generator
from rurklib.train.spec import SGD
from rurklib.unlearn.contract import method

Gradient = Literal["clean", "both"]


def lipschitz(
    model: nn.Module,
    x: Tensor,
    *,
    tau: float,
    v: int = 25,
    gradient: Gradient = "clean",
    generator: torch.Generator,
    bounds: Bounds = (0.0, 1.0),
) -> Tensor:
    """Step 2: k of a batch x [n, ...] float inside ``bounds``, a scalar; the model as it is."""
    z, total = model(x), x.new_zeros(())
    for _ in range(v):
        near = inside(x, normal(x, tau, generator), bounds)
        with torch.set_grad_enabled(gradient == "both"):
            there = model(near)
        # A copy that clipping takes back to x counts for 0: its logits may differ all the same, by
        # the batch's statistics or dropout in train mode, and a quotient would be without bound.
        moved = norm(near - x, 2)
        apart = norm(z - there, 2) * (moved > 0)
        total = total + (apart / torch.where(moved > 0, moved, 1.0)).mean()
    return total / v


@method(
    "JiT",
    sgd=SGD(epochs=1, momentum=0.0, weight_decay=0.0),
    search={"lr": (1e-4, 0.03), "tau": (0.01, 0.3), "epochs": (1, 10)},
    choices={"gradient": get_args(Gradient)},
)
def jit(
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    *,
    seed: int,
    tau: float = 0.03,
    v: int = 25,
    gradient: Gradient = "clean",
    sgd: SGD,
    bounds: Bounds = (0.0, 1.0),
) -> nn.Module:
    """Fine-tune on the forget set for :func:`lipschitz` alone."""
    checks.number("tau", tau, low=1e-6)
    checks.count("v", v)
    noise = generator(seed, 3, device=forget[0].device)

    def loss(x: Tensor, y: Tensor) -> Tensor:
        return lipschitz(model, x, tau=tau, v=v, gradient=gradient, generator=noise, bounds=bounds)

    data = sgd.batches(forget, generator(seed, 1))
    return sgd.minimise(model, loss, data, steps=sgd.steps(len(forget[0])))
