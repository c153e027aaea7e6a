"""NTK: replace training by its linearisation, where forgetting has a closed form.

Reference: Golatkar, Achille & Soatto, "Forgetting Outside the Box", ECCV 2020.

Algorithm:
    1. linearise Original:  f(x; w + d) = f(x; w) + J d,  residuals  e = f(x; w) - onehot(y)
    2. d_all  = optimum of  |e + J d|^2 + ridge n |w + d|^2  on retain + forget (n samples)
    3. d_kept = optimum of the same on the retain set alone
    4. w <- w + d_kept - d_all

Notes on this implementation: with H = J_r^T J_r + ridge n I, step 4 is H^{-1} J_f^T e_f, the
residuals e_f = e + J d_all taken at the optimum. By inverting the kernel matrix in blocks this
equals the paper's w + P grad f(S_f)^T M V, which needs all n * classes gradients in memory (the
official code stores them). Here H is never formed: J and J^T are applied by forward and reverse
mode (``torch.func``) to a batch at a time, conjugate gradients solve to ``tolerance``, and memory
is that of one batch. On a linear model the result is retraining with squared loss and the same
ridge. The paper linearises at the initialisation, which an unlearner isn't given (nor can it then
rescale the step by the "trapezium trick"); here it is at Original, and the ridge pulls w + d to
zero as weight decay did. The ridge keeps its weight n in step 3, as in the paper's formula; the
official code counts the retain set only. Stopping the solver early isn't a milder step: on digits
20 products forget more than the solution does. Eval mode: BatchNorm's statistics are constants.

Hyper-parameters (paper's defaults: "as official"): ridge 3.0 (a sample's share; official 0.1, for
which the solver needs several hundred products), residual "logits" ("softmax": official for
cross-entropy, softmax(f) - onehot(y) with the Jacobian of f), tolerance 1e-2 (of the right-hand
side's norm), iterations 200 (at most, each solve), batch_size 256 (only for memory).
"""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, jvp, vjp

from rurklib import checks, tensors
from rurklib.tensors import Pair
from rurklib.unlearn.contract import method


class Linearised:
    """``model`` as a linear function of its weights, which are one flat vector here."""

    def __init__(self, model: nn.Module, batch_size: int) -> None:
        self.model, self.batch_size = model.eval(), batch_size
        self.named = {k: p.detach() for k, p in model.named_parameters() if p.requires_grad}
        self.weights = torch.cat([p.flatten() for p in self.named.values()])

    def unflatten(self, flat: Tensor) -> dict[str, Tensor]:
        """A flat vector by the names and in the shapes of the weights."""
        parts = flat.split([p.numel() for p in self.named.values()])
        return {k: v.view_as(p) for (k, p), v in zip(self.named.items(), parts, strict=True)}

    def outputs(self, x: Tensor) -> Callable[[dict[str, Tensor]], Tensor]:
        return lambda weights: functional_call(self.model, weights, (tensors.as_float(x),))

    def residuals(self, x: Tensor, y: Tensor, softmax: bool) -> Tensor:
        """e [n, classes]."""
        out = torch.cat([self.outputs(b)(self.named) for b in x.split(self.batch_size)])
        return (out.softmax(1) if softmax else out) - F.one_hot(y, out.shape[1])

    def push(self, x: Tensor, d: Tensor) -> Tensor:
        """J d [n, classes]."""
        tangent = (self.unflatten(d),)
        batches = x.split(self.batch_size)
        return torch.cat([jvp(self.outputs(b), (self.named,), tangent)[1] for b in batches])

    def pull(self, x: Tensor, e: Tensor) -> Tensor:
        """J^T e [weights]."""
        total = torch.zeros_like(self.weights)
        for xb, eb in zip(x.split(self.batch_size), e.split(self.batch_size), strict=True):
            (grads,) = vjp(self.outputs(xb), self.named)[1](eb)
            total += torch.cat([grads[k].flatten() for k in self.named])
        return total


def conjugate_gradients(
    product: Callable[[Tensor], Tensor], b: Tensor, *, iterations: int, tolerance: float
) -> Tensor:
    """d with |b - H d| <= tolerance |b|, H positive definite and given by ``product`` alone."""
    d, rest = torch.zeros_like(b), b.clone()
    direction, square = rest.clone(), rest @ rest
    goal = tolerance**2 * square
    for _ in range(iterations):
        if square <= goal:
            break
        curved = product(direction)
        size = square / (direction @ curved)
        d, rest = d + size * direction, rest - size * curved
        square, old = rest @ rest, square
        direction = rest + square / old * direction
    return d


@method("NTK", search={"ridge": (0.3, 30.0)}, choices={"residual": ("logits", "softmax")})
@torch.no_grad()
def ntk(
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    *,
    seed: int,
    ridge: float = 3.0,
    residual: Literal["logits", "softmax"] = "logits",
    tolerance: float = 1e-2,
    iterations: int = 200,
    batch_size: int = 256,
) -> nn.Module:
    """One step: the difference of the two optima of the linearised model."""
    checks.number("ridge", ridge, low=0.0)
    checks.number("tolerance", tolerance, low=0.0)
    checks.count("iterations", iterations)
    linear = Linearised(model, batch_size)
    (xr, yr), (xf, yf) = retain, forget
    everything = torch.cat([xr, xf])
    penalty = ridge * len(everything)
    e = linear.residuals(everything, torch.cat([yr, yf]), residual == "softmax")

    def solve(x: Tensor, b: Tensor) -> Tensor:
        def hessian(d: Tensor) -> Tensor:
            return linear.pull(x, linear.push(x, d)) + penalty * d

        return conjugate_gradients(hessian, b, iterations=iterations, tolerance=tolerance)

    d_all = -solve(everything, linear.pull(everything, e) + penalty * linear.weights)
    e_f = e[len(xr) :] + linear.push(xf, d_all)
    step = linear.unflatten(solve(xr, linear.pull(xf, e_f)))
    for name, p in model.named_parameters():
        if p.requires_grad:
            p.add_(step[name])
    return model
