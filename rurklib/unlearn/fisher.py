"""The diagonal of the empirical Fisher information: how much each weight matters to each label.

Reference: Golatkar, Achille & Soatto, "Eternal Sunshine of the Spotless Net", CVPR 2020; Foster,
Schoepf & Brintrup, "Selective Synaptic Dampening", AAAI 2024 (both select weights by it).

Algorithm:
    1. per sample:  g = d/dw log p(y | x)  with y the label that is given
    2. square g entry by entry
    3. average over the samples

Notes on this implementation: the square is taken per sample (``torch.func.vmap``); peers square the
mean gradient of a batch, in which gradients of opposite sign cancel. The label is the given one,
not drawn from the model, so this is the "empirical" Fisher of the field.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.utils import vector_to_parameters

from rurklib import checks
from rurklib.tensors import Pair, as_float, evaluating, generator
from rurklib.train import Count, NotNegative
from rurklib.unlearn.contract import Positive, method

Of = Callable[[Tensor, Tensor], Tensor]  # a sample's logits [1, classes] and label -> a number


def log_likelihood(logits: Tensor, y: Tensor) -> Tensor:
    """log p(y | x) of one sample: minus its cross-entropy."""
    return F.log_softmax(logits, 1)[0].gather(0, y[None])[0]


def scores(
    model: nn.Module, x: Tensor, y: Tensor, *, batch_size: int = 16, of: Of = log_likelihood
) -> Iterator[dict[str, Tensor]]:
    """d/dw log p(y|x) of each sample x [n, ...], y int64 [n], or of what ``of`` says instead: for
    every parameter by its name a tensor ``[batch, *shape]``, ``batch_size`` samples at a time (it
    decides the memory). In eval mode, so that a sample's gradient is its own.
    """
    weights = {name: p.detach() for name, p in model.named_parameters()}

    def value(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return of(functional_call(model, weights, (x[None],)), y)

    per_sample = vmap(grad(value), in_dims=(None, 0, 0))
    for xb, yb in zip(x.split(batch_size), y.split(batch_size), strict=True):
        with evaluating(model):
            batch = per_sample(weights, as_float(xb), yb)
        yield batch


def mean_of(
    change: Callable[[Tensor], Tensor], model: nn.Module, x: Tensor, y: Tensor, **options: Any
) -> dict[str, Tensor]:
    """Mean over samples of their :func:`scores`, each entry changed first, by name: with
    ``torch.square`` the diagonal Fisher information; with ``torch.positive`` minus the gradient of
    the mean cross-entropy."""
    total = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for batch in scores(model, x, y, **options):
        for name, g in batch.items():
            total[name] += change(g).sum(0)
    return {name: t / len(x) for name, t in total.items()}


@torch.no_grad()
def dampen(
    model: nn.Module,
    forget: dict[str, Tensor],
    retain: dict[str, Tensor],
    alpha: float,
    dampening: float,
) -> nn.Module:
    """Steps 2 and 3 of SSD in place, given how much each weight matters to either set."""
    for name, w in model.named_parameters():
        if w.requires_grad:
            f, r = forget[name], retain[name]
            beta = (dampening * r / f).clamp(max=1.0)
            w.mul_(torch.where(f > alpha * r, beta, 1.0))
    return model


@method("SSD", search={"alpha": (3.0, 300.0), "dampening": (0.1, 3.0)})
def ssd(
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    *,
    seed: int,
    alpha: NotNegative = 10.0,
    dampening: NotNegative = 1.0,
) -> nn.Module:
    """SSD: shrink the weights that matter far more to the forget set than to the rest.

    Reference: Foster, Schoepf & Brintrup, "Fast Machine Unlearning Without Retraining Through
    Selective Synaptic Dampening", AAAI 2024.

    Algorithm:
        1. F_f, F_r: diagonal Fisher information on the forget and the retain set, at Original
        2. select the weights i with  F_f,i > alpha * F_r,i
        3. w_i <- beta_i w_i  with  beta_i = min(lambda * F_r,i / F_f,i, 1); the others stay

    Notes on this implementation: SSD's authors compare with F_D, on all training samples; the RURK
    paper writes F_r, on the retain set, and so does this. With F_D no alpha above |D| / |S_f| could
    select a weight. A weight that no retain sample depends on (F_r,i = 0 < F_f,i) becomes 0. The
    defaults are the RURK paper's (alpha 100 on small CIFAR-5); ``dampening`` is its lambda.
    """
    f, r = (mean_of(torch.square, model, *data) for data in (forget, retain))
    return dampen(model, f, r, alpha, dampening)


@method("LFSSD", search={"alpha": (1.5, 30.0), "dampening": (0.1, 3.0)})
def lfssd(
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    *,
    seed: int,
    alpha: NotNegative = 3.5,
    dampening: NotNegative = 1.0,
) -> nn.Module:
    """LFSSD: SSD without labels or a loss; what matters is what moves the length of the output.

    Reference: Foster, Schoepf & Brintrup, "Loss-Free Machine Unlearning", ICLR 2024 Tiny Papers
    (arXiv 2402.19308); the importance is that of Aljundi et al., "Memory Aware Synapses", ECCV
    2018.

    Algorithm:
        1. O_f, O_r: mean of  |d/dw ||m(x)||^2|  over the forget and the retain set, at Original
        2. steps 2 and 3 of SSD, whose notes hold here too, with O for F

    Notes on this implementation: m(x) are the logits. alpha 3.5 is the paper's for samples drawn
    from all classes, as others report it (5 and 10 for whole classes).
    """
    moved = partial(mean_of, torch.abs, model, of=lambda logits, y: logits.square().sum())
    f, r = moved(*forget), moved(*retain)
    return dampen(model, f, r, alpha, dampening)


def weighted(logits: Tensor, y: Tensor) -> Tensor:
    """log p(y | x), its gradient scaled by sqrt(p(y | x)): squares then come with their weight in
    the expectation over labels."""
    log_p = log_likelihood(logits, y)
    return (log_p / 2).exp().detach() * log_p


@method("Fisher", search={"alpha": (1e-9, 1e-5), "ceiling": (1e2, 1e5)})
@torch.no_grad()
def fisher(
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    *,
    seed: int,
    alpha: NotNegative = 1e-6,
    ceiling: NotNegative = 1e3,
) -> nn.Module:
    """Fisher: noise on the weights, most where the retain set doesn't need them.

    Reference: Golatkar, Achille & Soatto, "Eternal Sunshine of the Spotless Net", CVPR 2020.

    Algorithm:
        1. B = diagonal of the Fisher information on the retain set, labels drawn from the model:
           B_i = mean over x of  sum over classes c of  p(c | x) (d/dw_i log p(c | x))^2
        2. w <- w + n,  n ~ N(0, alpha / B)

    Notes on this implementation: the expectation over labels is exact, and the variance before
    alpha is 1 / (B + 1e-8), at most ``ceiling``, as in the official code: a weight that the retain
    set never uses would else be drowned. A net at accuracy 1 has B below 1e-3 almost everywhere, so
    the noise is nearly white under the official ceiling; 1e4 with a smaller alpha lets B speak.
    """
    x, classes = retain[0], checks.logits(model, *retain)
    labels = (torch.full((len(x),), c, device=x.device) for c in range(classes))
    parts = [mean_of(torch.square, model, x, y, batch_size=64, of=weighted) for y in labels]
    noise = generator(seed, 3, device=x.device)
    for name, p in model.named_parameters():
        if p.requires_grad:
            information = torch.stack([part[name] for part in parts]).sum(0)
            variance = alpha * (1 / (information + 1e-8)).clamp(max=ceiling)
            draw = torch.randn(p.shape, generator=noise, device=p.device, dtype=p.dtype)
            p.add_(variance.sqrt() * draw)
    return model


def inverse_fisher(g: Tensor, v: Tensor, damping: float) -> Tensor:
    """(damping * I + g^T g / n)^{-1} v for gradients g [n, d] and a vector v [d], in float64 where
    it matters: Woodbury,  (v - g^T (n * damping * I + g g^T)^{-1} g v) / damping."""
    inner = (g @ g.T).double()
    inner.diagonal().add_(damping * len(g))
    c = torch.cholesky_solve((g @ v).double()[:, None], torch.linalg.cholesky(inner))[:, 0]
    return (v - g.T @ c.to(g)) / damping


@method("WoodFisher", search={"alpha": (0.03, 100.0), "damping": (1e-3, 1.0)})
@torch.no_grad()
def woodfisher(
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    *,
    seed: int,
    alpha: NotNegative = 1.0,
    damping: Positive = 1.0,
    samples: Count = 1000,
) -> nn.Module:
    """WoodFisher: one step along the forget set's influence, with the inverse empirical Fisher.

    Reference: Izzo et al., "Approximate Data Deletion from Machine Learning Models", AISTATS 2021;
    Jia et al., "Model Sparsity Can Simplify Machine Unlearning", NeurIPS 2023 ("influence
    unlearning"); Singh & Alistarh, "WoodFisher", NeurIPS 2020 (the inverse).

    Algorithm:
        1. g_f, g_r: gradients of L(w, S_f) and L(w, S_r) at Original;  p = |S_f| / |D|
        2. F = damping * I + mean of g_i g_i^T, g_i the gradients of ``samples`` retained samples
        3. w <- w + alpha * F^{-1} p (g_f - g_r)

    Notes on this implementation: p (g_f - g_r) is the gradient of the loss on all data less that on
    the retain set, which the step is to undo. WoodFisher puts the g_i g_i^T in one after another;
    all at once is Woodbury's identity, the same inverse. At a damping of 1, the unlearning code's,
    the steps of a well-fitted net come to plain gradient ascent (WoodFisher has 1e-5).
    """
    learned = {name: p for name, p in model.named_parameters() if p.requires_grad}

    def flat(batch: Mapping[str, Tensor], first: int) -> Tensor:
        return torch.cat([batch[name].flatten(first) for name in learned], first)

    (xr, yr), n = retain, len(retain[0])
    if n > samples:
        some = torch.randperm(n, generator=generator(seed, 3))[:samples].to(xr.device)
        xr, yr = xr[some], yr[some]
    gr, gf = (mean_of(torch.positive, model, *data) for data in (retain, forget))
    # Scores are minus the gradients of the loss, hence the retain set's less the forget set's.
    difference = flat(gr, 0) - flat(gf, 0)
    share = len(forget[0]) / (len(forget[0]) + n)
    g = torch.cat([flat(batch, 1) for batch in scores(model, xr, yr)])
    step = alpha * inverse_fisher(g, share * difference, damping)
    vector_to_parameters(flat(learned, 0) + step, learned.values())
    return model
