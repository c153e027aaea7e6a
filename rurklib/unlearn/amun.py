"""AMUN: keep training on everything, and on adversarial examples of the forget samples beside them.

Reference: Ebrahimpour-Boroojeny, Sundaram & Chandrasekaran, "Not All Wrong is Bad: Using
Adversarial Examples for Unlearning", ICML 2025 (arXiv 2503.00917), Algorithm 1.

Algorithm:
    1. for each forget sample look for x' in the L2 ball of radius epsilon that Original takes for
       another class y' (PGD); while there is none, double epsilon
    2. start from Original and minimise the loss of the retain set, of the pairs (x', y'), and
       (``true_labels``) of the forget set with its own labels, together by SGD

Notes on this implementation: to keep the forget samples with their true labels beside their
neighbours with wrong ones is the paper's setting: the boundary is to come close to them, which
lowers the confidence, not to cross them. ``true_labels=False`` leaves them out. y' is Original's
own answer, so that these labels are wrong but no news to it. PGD starts at x: nothing is drawn. A
sample that Original gets wrong already is its own neighbour. One for which DOUBLINGS balls hold
nothing (a net that always gives one answer) has no x' and is left out. The last ball tried is at
most twice as large as needed, if PGD is right. The rate falls by half a cosine (RURK's B.2).

Hyper-parameters (paper's defaults): steps 50 (of PGD); of our own: epsilon 0.1 (units of the input;
the first radius), epochs 10, lr 1e-2, momentum 0.9, weight_decay 5e-4, batch_size 128,
batchnorm "train".
"""

import torch
from torch import Tensor, nn

from rurklib import checks
from rurklib.model_state import evaluating
from rurklib.perturb.gradient import search
from rurklib.samples import Bounds, Pair, as_float
from rurklib.train.spec import SGD
from rurklib.unlearn.contract import method

DOUBLINGS = 16  # the last ball is 30,000 times the first


def nearest_adversarial(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    epsilon: float = 0.1,
    steps: int = 50,
    bounds: Bounds = (0.0, 1.0),
) -> tuple[Tensor, Tensor, Tensor]:
    """Step 1 for samples x [n, ...] float and y [n]: (x', y', radius).

    x' is inside the ball of its radius (epsilon * 2^k, float [n]) and inside ``bounds``, and the
    model says y' != y. Samples for which nothing was found are x, y and infinity.
    """
    found, said = x.clone(), y.clone()
    radius = torch.full((len(x),), torch.inf, dtype=x.dtype, device=x.device)
    left = torch.arange(len(x), device=x.device)
    for k in range(DOUBLINGS):
        tau = epsilon * 2**k
        here, own = x[left], y[left]
        near = search(model, here, own, tau, torch.zeros_like(here), bounds, p=2, steps=steps)
        with torch.no_grad(), evaluating(model):
            answer = model(near).argmax(1)
        crossed = answer != own
        at = left[crossed]
        found[at], said[at], radius[at] = near[crossed], answer[crossed], tau
        left = left[~crossed]
        if len(left) == 0:
            break
    return found, said, radius


@method(
    "AMUN",
    sgd=SGD(weight_decay=5e-4),
    search={"lr": (1e-4, 0.1), "epochs": (1, 20), "true_labels": [True, False]},
)
def amun(
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    *,
    seed: int,
    epsilon: float = 0.1,
    steps: int = 50,
    true_labels: bool = True,
    sgd: SGD,
    bounds: Bounds = (0.0, 1.0),
) -> nn.Module:
    """Fine-tune on the retain set and on adversarial examples of the forget set."""
    checks.number("epsilon", epsilon, low=1e-6)
    checks.count("steps", steps)
    x, y = as_float(forget[0]), forget[1]
    pieces = [
        nearest_adversarial(model, *piece, epsilon=epsilon, steps=steps, bounds=bounds)
        for piece in zip(x.split(sgd.batch_size), y.split(sgd.batch_size), strict=True)
    ]
    near, said, radius = (torch.cat(parts) for parts in zip(*pieces, strict=True))
    known = radius.isfinite()
    parts = [(as_float(retain[0]), retain[1]), (near[known], said[known])]
    if true_labels:
        parts.append((x, y))
    xs, ys = zip(*parts, strict=True)
    return sgd.fine_tune(model, (torch.cat(xs), torch.cat(ys)), seed=seed)
