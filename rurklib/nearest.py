"""The nearest copy that makes a model change its mind about y, in L2 (DDN).

For a sample that the model misses it is the nearest of which it says y *again* (re-recognition);
for one that it recognises, the nearest of which it says something else. As one number, the
*signed distance*: positive inside the region of y, negative outside it. The authors of the paper
name membership inference by it as future work (Hsu et al. 2025, sec. 6).

Reference: Rony et al., "Decoupling Direction and Norm for Efficient Gradient-Based L2 Adversarial
Attacks and Defenses", CVPR 2019, Algorithm 1.

Notes on this implementation: the search follows the log-odds of y, whose direction is the cross-
entropy's without its fading. At the end the way from x to the best copy is halved until the border
is met, which costs forward passes alone and never makes a copy worse.
"""

import math

import torch
from torch import Tensor, nn

from rurklib.perturb import norm
from rurklib.tensors import Bounds, as_float, evaluating

HALVINGS = 12


def ddn(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    steps: int = 50,
    gamma: float = 0.05,
    first: float = 1.0,
    bounds: Bounds = (0.0, 1.0),
) -> tuple[Tensor, Tensor]:
    """The smallest L2 perturbation found that changes whether the model says y (DDN).

    The direction follows the gradient by steps that shrink from ``first`` to a hundredth of it. The
    norm begins with ``first`` (1 suits pixels in [0, 1]) and is multiplied by 1 - gamma after a
    copy that changed the answer, 1 + gamma after one that didn't. Shapes: x [n, ...] float inside
    ``bounds`` (uint8: read as x / 255), y int64 [n].

    Returns the copies, shaped like x (the sample itself where none was found), and the signed
    distances [n]: above 0 where the model says y of x, below where it doesn't, +-inf where no copy
    was found. Each is an upper bound: no search proves that nothing nearer exists.
    """
    x = as_float(x)
    each = (-1, *[1] * (x.ndim - 1))  # values [n] in this shape go with x sample by sample

    def margins(copies: Tensor) -> tuple[Tensor, Tensor]:
        """How far copies are from another answer than x has, below 0 if they have it: the hard
        margin, and the log-odds, which heed all classes."""
        logits, own = model(copies), y[:, None]
        z, others = logits.gather(1, own)[:, 0], logits.scatter(1, own, -math.inf)
        return sign * (z - others.amax(1)), sign * (z - others.logsumexp(1))

    with evaluating(model), torch.no_grad():
        sign = torch.where(model(x).argmax(1) == y, 1.0, -1.0).to(x.dtype)
        d = best = torch.zeros_like(x)
        nearest, radius = torch.full_like(sign, math.inf), torch.full_like(sign, first)
        for k in range(steps + 1):
            with torch.enable_grad():
                copies = (x + d).requires_grad_()
                hard, odds = margins(copies)
                (g,) = torch.autograd.grad(odds.sum(), copies)
            changed, size = hard < 0, norm(d, 2)
            better = changed & (size < nearest)
            best = torch.where(better.view(each), d, best)
            nearest = torch.where(better, size, nearest)
            if k > 0:
                radius = radius * torch.where(changed, 1 - gamma, 1 + gamma)
            last = 0.01 * first
            rate = last + (first - last) * (1 + math.cos(math.pi * k / steps)) / 2
            d = d - (rate / norm(g, 2).clamp(min=1e-12)).view(each) * g
            d = d * (radius / norm(d, 2).clamp(min=1e-12)).view(each)
            if bounds is not None:
                d = d.clamp(bounds[0] - x, bounds[1] - x)
        low, high = torch.zeros_like(nearest), torch.ones_like(nearest)
        for _ in range(HALVINGS):
            way = (low + high) / 2
            changed = margins(x + way.view(each) * best)[0] < 0
            low, high = torch.where(changed, low, way), torch.where(changed, way, high)
        best = high.view(each) * best
        return x + best, sign * torch.where(nearest.isfinite(), norm(best, 2), nearest)
