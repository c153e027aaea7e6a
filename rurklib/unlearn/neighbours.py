"""Neighbours: AMUN, BoundaryShrink and JiT. They look at perturbed copies of the forget samples."""

import math

import torch
from torch import Tensor, nn

from rurklib.nearest import ddn
from rurklib.perturb import fgsm, gaussian, norm
from rurklib.tensors import Bounds, Pair, as_float, evaluating, generator
from rurklib.train import SGD, Count, NotNegative
from rurklib.unlearn.contract import Positive, method
from rurklib.unlearn.fine_tuning import descend

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
    """Step 1 for samples x [n, ...] float and y [n]: (x', y', distance in L2, [n]).

    A sample that is wrong already is x, the model's answer and 0; one for which nothing was found
    is x, y and infinity.
    """
    with torch.no_grad(), evaluating(model):
        said = model(x).argmax(1)
    found, distance = x.clone(), torch.where(said == y, math.inf, 0.0).to(x.dtype)
    for k in range(DOUBLINGS):
        left = distance.isinf().nonzero()[:, 0]
        if len(left) == 0:
            break
        here, own = x[left], y[left]
        near, away = ddn(model, here, own, steps=steps, first=epsilon * 2**k, bounds=bounds)
        near = near if bounds is None else near.clamp(*bounds)  # x + d may round
        with torch.no_grad(), evaluating(model):
            answer = model(near).argmax(1)
        crossed = answer != own
        at = left[crossed]
        found[at], said[at] = near[crossed], answer[crossed]
        distance[at] = away[crossed]
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
    epsilon: Positive = 0.5,
    steps: Count = 50,
    true_labels: bool = True,
    sgd: SGD,
    bounds: Bounds = (0.0, 1.0),
) -> nn.Module:
    """AMUN: keep training on everything, and on adversarial examples of the forget samples beside
    them.

    Reference: Ebrahimpour-Boroojeny, Sundaram & Chandrasekaran, "Not All Wrong is Bad: Using
    Adversarial Examples for Unlearning", ICML 2025 (arXiv 2503.00917), Algorithm 1.

    Algorithm:
        1. for each forget sample look for the nearest x' (in L2) that Original takes for another
           class y', with a first radius of epsilon; while there is none, double epsilon
        2. start from Original and minimise the loss of the retain set, of the pairs (x', y'), and
           (``true_labels``) of the forget set with its own labels, together by SGD

    Notes on this implementation: Algorithm 1 takes what PGD-50 finds in the first ball that holds
    something, up to twice as far as it need be; here DDN looks for the nearest. The forget samples
    keep their true labels, as in the paper: the boundary is to come close to them, not to cross
    them. One that has no x' after DOUBLINGS is left out.
    """
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


def nearest_labels(
    model: nn.Module, x: Tensor, y: Tensor, *, tau: float, bounds: Bounds = (0.0, 1.0)
) -> Tensor:
    """Steps 1 and 2: for each sample of x [n, ...] a label other than its y, int64 [n]."""
    near = fgsm(model, as_float(x), y, tau, bounds=bounds)
    with torch.no_grad(), evaluating(model):
        return model(near).scatter(1, y[:, None], -torch.inf).argmax(1)


@method(
    "BoundaryShrink",
    sgd=SGD(lr=1e-5, weight_decay=0.0),
    search={"lr": (1e-4, 0.03), "tau": (0.02, 0.5), "epochs": (1, 10)},
)
def boundary_shrink(
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    *,
    seed: int,
    tau: NotNegative = 0.1,
    sgd: SGD,
    bounds: Bounds = (0.0, 1.0),
) -> nn.Module:
    """BoundaryShrink: give each forget sample to the class across the nearest boundary.

    Reference: Chen et al., "Boundary Unlearning: Rapid Forgetting of Deep Networks via Shifting the
    Decision Boundary", CVPR 2023.

    Algorithm:
        1. x' = one signed gradient step of size tau from each forget sample, away from its label,
           at Original (FGSM)
        2. y' = the class that Original gives x'; if that is still the sample's own, the next
        3. start from Original and minimise  L(w, (x, y'))  over the forget set by SGD

    Notes on this implementation: y' is found once, at Original, and taught on the clean sample.
    Where tau is too small to cross a boundary the paper's code would teach the true label; the
    paper wants the nearest but incorrect one, and so does this.
    """
    x, y = forget
    pieces = zip(x.split(sgd.batch_size), y.split(sgd.batch_size), strict=True)
    nearest = [nearest_labels(model, a, b, tau=tau, bounds=bounds) for a, b in pieces]
    return sgd.fine_tune(model, (x, torch.cat(nearest)), seed=seed)


@method(
    "JiT",
    sgd=SGD(epochs=1, momentum=0.0, weight_decay=0.0),
    search={"lr": (1e-4, 0.03), "tau": (0.01, 0.3), "epochs": (1, 10)},
)
def jit(
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    *,
    seed: int,
    tau: Positive = 0.03,
    v: Count = 25,
    sgd: SGD,
    bounds: Bounds = (0.0, 1.0),
) -> nn.Module:
    """JiT: make the net flat around each forget sample, knowing nothing but those samples.

    Reference: Foster et al., "Zero-Shot Machine Unlearning at Scale via Lipschitz Regularization",
    2024 (arXiv 2402.01401); later "An Information Theoretic Approach to Machine Unlearning", TMLR
    2025.

    Algorithm:
        1. for each batch of the forget set draw v noisy copies  x' = x + tau * z
        2. k = mean over samples and copies of  ||m(x) - m(x')|| / ||x - x'||,  m(x) the logits: an
           estimate of the Lipschitz constant around x
        3. minimise k by SGD; no retain sample and no label is used

    RURK lowers how often such copies are recognised; JiT wants x and its copies to have the same
    logits. Where that costs x its class, the copies lose it too. Where it doesn't, a net that is
    flat around x recognises copies as surely as x itself, and r_tau grows.

    Notes on this implementation: m(x') is a constant, as in the official code: m(x) is pulled to
    where its copies are. k is a mean over samples. The code leaves the net in train mode, so that
    BatchNorm's running statistics drift to those of the forget set; "frozen" keeps them.
    """
    noise = generator(seed, 3, device=forget[0].device)

    def loss(x: Tensor, y: Tensor) -> Tensor:
        z, total = model(x).to(x.dtype), x.new_zeros(())
        for _ in range(v):
            near = gaussian(x, tau, generator=noise, bounds=bounds)
            with torch.no_grad():
                there = model(near).to(x.dtype)
            total = total + (norm(z - there, 2) / norm(near - x, 2)).mean()
        return total / v

    return descend(model, loss, forget, seed=seed, sgd=sgd)
