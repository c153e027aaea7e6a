"""WoodFisher: one step along the forget set's influence, with the inverse empirical Fisher.

Reference: Izzo et al., "Approximate Data Deletion from Machine Learning Models", AISTATS 2021;
Jia et al., "Model Sparsity Can Simplify Machine Unlearning", NeurIPS 2023 ("influence unlearning");
Singh & Alistarh, "WoodFisher", NeurIPS 2020 (the inverse).

Algorithm:
    1. g_f, g_r: gradients of L(w, S_f) and L(w, S_r) at Original;  p = |S_f| / |D|
    2. F = damping * I + mean of g_i g_i^T, g_i the gradients of ``samples`` retained samples
    3. w <- w + alpha * F^{-1} p (g_f - g_r)

Notes on this implementation: p (g_f - g_r) is the gradient of the loss on all data less that on the
retain set, which the step is to undo. WoodFisher puts the g_i g_i^T in one after another
(Sherman-Morrison). All at once is Woodbury's identity: the same inverse, to the rounding, and one
matrix of samples x samples to factorise. The official unlearning code keeps a single vector of the
recursion instead of one for each sample, which is another matrix than F unless all g_i are
parallel. Its damping is 1, where WoodFisher has 1e-5; at 1 the steps of a well-fitted net, whose
g_i are small, come to plain gradient ascent. samples x weights numbers are held. BatchNorm is in
eval mode, its running statistics stay.

Hyper-parameters: alpha 1.0 (the Newton step; in the official code 0.2, and tuned), damping 1.0,
samples 1000 (drawn, if there are more), batch_size 16 (that many copies of the weights are held;
the result doesn't depend on it).
"""

import torch
from torch import Tensor, nn

from rurklib import checks
from rurklib.tensors import Pair, generator
from rurklib.unlearn.contract import method
from rurklib.unlearn.fisher_information import mean_score, scores


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
    alpha: float = 1.0,
    damping: float = 1.0,
    samples: int = 1000,
    batch_size: int = 16,
) -> nn.Module:
    """One Newton-like step that undoes the forget set's pull."""
    checks.number("alpha", alpha, low=0.0)
    checks.number("damping", damping, low=1e-9)
    checks.count("samples", samples)
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    (xr, yr), n = retain, len(retain[0])
    if n > samples:
        some = torch.randperm(n, generator=generator(seed, 3))[:samples].to(xr.device)
        xr, yr = xr[some], yr[some]
    gr, gf = (mean_score(model, *pair, batch_size=batch_size) for pair in (retain, forget))
    # Scores are minus the gradients of the loss, hence the retain set's less the forget set's.
    difference = torch.cat([(gr[k] - gf[k]).flatten() for k in names])
    share = len(forget[0]) / (len(forget[0]) + n)
    g = torch.cat(
        [
            torch.cat([batch[k].flatten(1) for k in names], 1)
            for batch in scores(model, xr, yr, batch_size=batch_size)
        ]
    )
    step = alpha * inverse_fisher(g, share * difference, damping)
    for name, change in zip(
        names, step.split([model.get_parameter(k).numel() for k in names]), strict=True
    ):
        p = model.get_parameter(name)
        p.add_(change.view_as(p))
    return model
