"""The nearest copy that makes a model change its mind about y, in L2 (DDN).

For a sample that the model misses it is the nearest of which it says y *again* (re-recognition);
for one that it recognises, the nearest of which it says something else. As one number, the
*signed distance*: positive inside the region of y, negative outside it. The authors of the paper
name membership inference by it as future work (Hsu et al. 2025, sec. 6).

Reference: Rony et al., "Decoupling Direction and Norm for Efficient Gradient-Based L2 Adversarial
Attacks and Defenses", CVPR 2019, Algorithm 1.

Notes on this implementation: an answer has changed when the hard margin z_y - max of the others has
changed its sign. The search follows the log-odds of y, whose direction is the cross-entropy's
without its fading. A multiple of the logits changes nothing. At the end the way from x to the best
copy is halved until the border is met, which costs forward passes alone and never makes a copy
worse: at equal steps these are somewhat nearer than foolbox's.

What is found is an upper bound: no search proves that nothing nearer exists. Sums, not means, are
differentiated, so a sample's result doesn't depend on its batch.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rurklib import tensors
from rurklib.perturb import norm
from rurklib.tensors import evaluating

HALVINGS = 12


@dataclass(frozen=True)
class MinimalNorm:
    """``before`` bool [n]: the model says y about the sample itself. ``distance`` [n]: norm of the
    smallest perturbation found that changes that, inf where none was. ``copies``, shaped like x:
    the samples so changed (the sample itself where none was)."""

    before: Tensor
    distance: Tensor
    copies: Tensor

    @property
    def signed(self) -> Tensor:
        """The distance where the model says y, minus the distance where it doesn't, [n]."""
        return torch.where(self.before, self.distance, -self.distance)


def ddn(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    steps: int = 50,
    gamma: float = 0.05,
    first: float = 1.0,
    bounds: tensors.Bounds = (0.0, 1.0),
) -> MinimalNorm:
    """The smallest L2 perturbation that changes whether the model says y (DDN).

    The direction follows the gradient by steps that shrink from ``first`` to a hundredth of it. The
    norm is decoupled from it: it begins with ``first`` (1 suits pixels in [0, 1]) and is multiplied
    by 1 - gamma after a copy that changed the answer, 1 + gamma after one that didn't. Shapes: x
    [n, ...] float inside ``bounds`` (uint8: read as x / 255), y int64 [n].
    """
    with evaluating(model):
        best = _Best(model, x, y)
        d, radius = best.d, torch.full_like(best.distance, first)
        for k in range(steps):
            done, g = best.update(d)
            if k:
                radius = radius * torch.where(done, 1 - gamma, 1 + gamma)
            rate = _cosine(first, 0.01 * first, k, steps)
            d = d - _by(rate / norm(g, 2).clamp(min=1e-12), g) * g
            d = d * _by(radius / norm(d, 2).clamp(min=1e-12), d)
            if bounds is not None:
                d = d.clamp(bounds[0] - best.x, bounds[1] - best.x)
        return best.result(d)


class _Best:
    """The smallest perturbation so far that changed the model's answer, sample by sample."""

    def __init__(self, model: nn.Module, x: Tensor, y: Tensor) -> None:
        self.model, self.x, self.y = model, tensors.as_float(x), y
        self.d = torch.zeros_like(self.x)
        self.distance = torch.full((len(x),), math.inf, dtype=self.x.dtype, device=x.device)
        with torch.no_grad():
            self.before = model(self.x).argmax(1) == y

    def update(self, d: Tensor, *, gradient: bool = True) -> tuple[Tensor, Tensor]:
        """Keep the d that changed the answer and are smaller. Returns which changed it, [n], and
        the gradient that :meth:`gap` gives."""
        gap, g = self.gap(d, gradient=gradient)
        done, size = gap < 0, norm(d, 2)
        better = done & (size < self.distance)
        self.d = torch.where(_by(better, d), d, self.d)
        self.distance = torch.where(better, size, self.distance)
        return done, g

    def gap(self, d: Tensor, *, gradient: bool = False) -> tuple[Tensor, Tensor]:
        """How far x + d is from the goal in logits, [n], negative once it is reached; and the
        gradient of the log-odds of y, which heeds all other classes."""
        with torch.set_grad_enabled(gradient):
            x = (self.x + d).detach().requires_grad_(gradient)
            z, own = self.model(x), self.y[:, None]
            others = z.scatter(1, own, -math.inf)
            sign = torch.where(self.before, 1.0, -1.0).to(z.dtype)
            gap = sign * (z.gather(1, own)[:, 0] - others.amax(1))
            if not gradient:
                return gap.detach(), torch.zeros_like(x)
            odds = sign * (z.gather(1, own)[:, 0] - others.logsumexp(1))
            return gap.detach(), torch.autograd.grad(odds.sum(), x)[0]

    def result(self, last: Tensor) -> MinimalNorm:
        """With the last d tried, and the way to the best copy halved until the border is met."""
        self.update(last, gradient=False)
        low, high = torch.zeros_like(self.distance), torch.ones_like(self.distance)
        for _ in range(HALVINGS):
            t = (low + high) / 2
            changed = self.gap(_by(t, self.d) * self.d)[0] < 0
            low, high = torch.where(changed, low, t), torch.where(changed, t, high)
        d = _by(high, self.d) * self.d
        distance = torch.where(self.distance.isfinite(), norm(d, 2), self.distance)
        return MinimalNorm(self.before, distance, self.x + d)


def _by(values: Tensor, like: Tensor) -> Tensor:
    """[n] shaped so that it goes sample by sample with [n, ...]."""
    return values.view(-1, *[1] * (like.ndim - 1))


def _cosine(first: float, last: float, k: int, steps: int) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * k / steps)) / 2
