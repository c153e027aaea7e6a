"""AMUN: keep training on everything, and on adversarial examples of the forget samples beside them.

Reference: Ebrahimpour-Boroojeny, Sundaram & Chandrasekaran, "Not All Wrong is Bad: Using
Adversarial Examples for Unlearning", ICML 2025 (arXiv 2503.00917), Algorithm 1.

Algorithm:
    1. for each forget sample look for the nearest x' (in L2) that Original takes for another class
       y', with a first radius of epsilon; while there is none, double epsilon
    2. start from Original and minimise the loss of the retain set, of the pairs (x', y'), and
       (``true_labels``) of the forget set with its own labels, together by SGD

Notes on this implementation: the official code isn't Algorithm 1: it stops each sample where it
first crosses, with a first radius of 0.04, and its rate falls in steps. Algorithm 1 takes what
PGD-50 finds in the first ball that holds something, which is up to twice as far as it need be: on
digits 0.68 where 0.45 would do. The nearest is what the paper wants and argues with, so here DDN
looks for it, as many steps long, and goes back to the border. To keep the forget samples with their
true labels beside their neighbours with wrong ones is the paper's setting: the boundary is to come
close to them, which lowers the confidence, not to cross them. ``true_labels=False`` leaves them
out. y' is Original's own answer, so that these labels are wrong but no news to it. Nothing is drawn
in step 1. A sample that Original gets wrong already is its own neighbour. One that has none after
DOUBLINGS (a net that always gives one answer) has no x' and is left out. A departure: the rate
falls by half a cosine (RURK's B.2), which this method's own paper doesn't have;
``schedule="constant"`` keeps it.

Hyper-parameters (paper's defaults): steps 50 (of the search); of our own: epsilon 0.5 (units of the
input; the first radius), epochs 10, lr 1e-2, momentum 0.9, weight_decay 5e-4, batch_size 128,
batchnorm "train", schedule "cosine".
"""

import math

import torch
from torch import Tensor, nn

from rurklib import checks
from rurklib.nearest import ddn
from rurklib.tensors import Bounds, Pair, as_float, evaluating
from rurklib.train.spec import SGD
from rurklib.unlearn.contract import method

DOUBLINGS = 16  # the last first radius is 30,000 times epsilon


def nearest_adversarial(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    epsilon: float = 0.5,
    steps: int = 50,
    bounds: Bounds = (0.0, 1.0),
) -> tuple[Tensor, Tensor, Tensor]:
    """Step 1 for samples x [n, ...] float and y [n]: (x', y', distance).

    x' is the nearest copy found, ``distance`` (L2, float [n]) from x and inside ``bounds``, and the
    model says y' != y. A sample that is wrong already is x, the model's answer and 0; one for which
    nothing was found is x, y and infinity.
    """
    with torch.no_grad(), evaluating(model):
        said = model(x).argmax(1)
    found, distance = x.clone(), torch.where(said == y, math.inf, 0.0).to(x.dtype)
    for k in range(DOUBLINGS):
        left = distance.isinf().nonzero()[:, 0]
        if len(left) == 0:
            break
        here, own = x[left], y[left]
        best = ddn(model, here, own, steps=steps, first=epsilon * 2**k, bounds=bounds)
        near = best.copies if bounds is None else best.copies.clamp(*bounds)  # x + d may round
        with torch.no_grad(), evaluating(model):
            answer = model(near).argmax(1)
        crossed = answer != own
        at = left[crossed]
        found[at], said[at] = near[crossed], answer[crossed]
        distance[at] = best.distance[crossed]
    return found, said, distance


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
    epsilon: float = 0.5,
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
    near, said, distance = (torch.cat(parts) for parts in zip(*pieces, strict=True))
    known = distance.isfinite()
    parts = [(as_float(retain[0]), retain[1]), (near[known], said[known])]
    if true_labels:
        parts.append((x, y))
    xs, ys = zip(*parts, strict=True)
    return sgd.fine_tune(model, (torch.cat(xs), torch.cat(ys)), seed=seed)
