"""Closed forms: CR and NTK. One solved step takes the place of training without the forget set."""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, jvp, vjp

from rurklib import checks, tensors
from rurklib.tensors import Pair
from rurklib.train import Count, NotNegative
from rurklib.unlearn.contract import Positive, method


def features(model: nn.Module, head: nn.Linear, x: Tensor, batch_size: int = 128) -> Tensor:
    """Step 1: inputs of ``head`` [n, d] in float64, with a column of ones where it has a bias.
    Raises InputError if its output isn't what the model returns."""
    seen, returned = [], []
    hook = head.register_forward_hook(lambda _, given, out: seen.append((given[0], out)))
    for batch in x.split(batch_size):
        returned.append(model(tensors.as_float(batch)))
    hook.remove()
    if len(seen) != len(returned) or not torch.equal(seen[0][1], returned[0]):
        raise checks.InputError("CR: the model's output isn't that of its last nn.Linear layer")
    z = torch.cat([given for given, _ in seen]).double()
    return z if head.bias is None else F.pad(z, (0, 1), value=1.0)


def fit_head(z: Tensor, s: Tensor, lam: float) -> Tensor:
    """The optimum of step 2. Two rows of zeros, one of each sign, let a class be without samples:
    no weight changes their loss."""
    from sklearn.linear_model import LogisticRegression  # not for every import of rurklib

    rows, signs = F.pad(z, (0, 0, 0, 2)), torch.cat([s, s.new_tensor([-1, 1])])
    newton = LogisticRegression(
        C=1 / (lam * len(z)), fit_intercept=False, solver="newton-cholesky", tol=1e-10
    )
    newton.fit(rows.numpy(force=True), signs.numpy(force=True))
    return z.new_tensor(newton.coef_[0])


def newton_step(w: Tensor, zr: Tensor, zf: Tensor, sf: Tensor, lam: float) -> Tensor:
    """H^{-1} g of step 4. Each sample has its share of the regulariser."""
    g = zf.T @ (-sf * torch.sigmoid(-sf * (zf @ w))) + lam * len(zf) * w
    p = torch.sigmoid(zr @ w)
    hessian = (zr.T * (p * (1 - p))) @ zr
    hessian.diagonal().add_(lam * len(zr))
    return torch.cholesky_solve(g[:, None], torch.linalg.cholesky(hessian))[:, 0]


@method("CR", search={"lam": (1e-4, 1.0)})
@torch.no_grad()
def cr(
    model: nn.Module, retain: Pair, forget: Pair, *, seed: int, lam: Positive = 0.1
) -> nn.Module:
    """CR: certified removal, one Newton step on logistic heads over frozen features.

    Reference: Guo, Goldstein, Hannun & van der Maaten, "Certified Data Removal from Machine
    Learning Models", ICML 2020 (Eq. 3).

    Algorithm:
        1. freeze Original up to its last linear layer; z = that layer's input, with a 1 appended
        2. for each class k fit w_k on retain + forget: minimise, with s = +1 for class k and else
           -1, sum of [log(1 + exp(-s w.z)) + lambda/2 |w|^2]
        3. g = gradient of the forget set's own summands, H = Hessian of those of the retain set
        4. w_k <- w_k + H^{-1} g

    Notes on this implementation: at the optimum of step 2 the two gradients cancel, so step 4 is
    the paper's w - H^{-1} grad L(w, S_r). The logits are then the scores w_k.z, which rank classes
    but are no calibrated softmax. Features keep their size, and a bias is regularised like a
    weight. Guo's certificate covers the heads alone and needs a random b.w in step 2, which is left
    out: the features still know the forget set. lam 0.1 is the RURK paper's.
    """
    linear = [m for m in model.eval().modules() if isinstance(m, nn.Linear)]
    if not linear:
        raise checks.InputError("CR: the model has no nn.Linear layer, expected one as its last")
    head = linear[-1]
    if not all(p.requires_grad for p in head.parameters()):
        raise checks.InputError("the head is frozen (requires_grad is False): CR makes a new one")
    zr, zf = (features(model, head, x) for x in (retain[0], forget[0]))
    for k in range(head.out_features):
        sr, sf = (2.0 * (y == k).to(zr) - 1.0 for y in (retain[1], forget[1]))
        w = fit_head(torch.cat([zr, zf]), torch.cat([sr, sf]), lam)
        w = w + newton_step(w, zr, zf, sf, lam)
        head.weight[k] = w[: head.in_features]
        if head.bias is not None:
            head.bias[k] = w[-1]
    return model


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


@method("NTK", search={"ridge": (0.3, 30.0)})
@torch.no_grad()
def ntk(
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    *,
    seed: int,
    ridge: NotNegative = 3.0,
    residual: Literal["logits", "softmax"] = "logits",
    tolerance: NotNegative = 1e-2,
    iterations: Count = 200,
    batch_size: Count = 256,
) -> nn.Module:
    """NTK: replace training by its linearisation, where forgetting has a closed form.

    Reference: Golatkar, Achille & Soatto, "Forgetting Outside the Box", ECCV 2020.

    Algorithm:
        1. linearise Original:  f(x; w + d) = f(x; w) + J d,  residuals  e = f(x; w) - onehot(y)
        2. d_all  = optimum of  |e + J d|^2 + ridge n |w + d|^2  on retain + forget (n samples)
        3. d_kept = optimum of the same on the retain set alone
        4. w <- w + d_kept - d_all

    Notes on this implementation: with H = J_r^T J_r + ridge n I, step 4 is H^{-1} J_f^T e_f, the
    residuals e_f = e + J d_all taken at the optimum. By inverting the kernel matrix in blocks this
    equals the paper's w + P grad f(S_f)^T M V, which needs all n * classes gradients in memory.
    Here H is never formed: J and J^T are applied to a batch at a time, and conjugate gradients
    solve to ``tolerance``; stopping early isn't a milder step (on digits it forgets more). The
    paper linearises at the initialisation, here it is at Original (in eval mode), and the ridge
    pulls w + d to zero as weight decay did. The official ridge is 0.1; residual "softmax" is
    official for cross-entropy.
    """
    linear = Linearised(model, batch_size)
    (xr, yr), (xf, yf) = retain, forget
    everything = torch.cat([xr, xf])
    penalty = ridge * len(everything)
    e = linear.residuals(everything, torch.cat([yr, yf]), residual == "softmax")

    def solve(x: Tensor, b: Tensor) -> Tensor:
        """d with |b - H d| <= tolerance |b| by conjugate gradients. Our own: SciPy's stop
        elsewhere in float32, and what isn't solved to the end depends on where it stops."""
        d, rest = torch.zeros_like(b), b.clone()
        direction, square = rest.clone(), rest @ rest
        goal = tolerance**2 * square
        for _ in range(iterations):
            if square <= goal:
                break
            curved = linear.pull(x, linear.push(x, direction)) + penalty * direction
            size = square / (direction @ curved)
            d, rest = d + size * direction, rest - size * curved
            square, old = rest @ rest, square
            direction = rest + square / old * direction
        return d

    d_all = -solve(everything, linear.pull(everything, e) + penalty * linear.weights)
    e_f = e[len(xr) :] + linear.push(xf, d_all)
    step = linear.unflatten(solve(xr, linear.pull(xf, e_f)))
    for name, p in model.named_parameters():
        if p.requires_grad:
            p.add_(step[name])
    return model
