"""CR: certified removal, one Newton step on logistic heads over frozen features.

Reference: Guo, Goldstein, Hannun & van der Maaten, "Certified Data Removal from Machine Learning
Models", ICML 2020 (Eq. 3).

Algorithm:
    1. freeze Original up to its last linear layer; z = that layer's input, with a 1 appended
    2. for each class k fit w_k on retain + forget: minimise, with s = +1 for class k and else -1,
       sum of [log(1 + exp(-s w.z)) + lambda/2 |w|^2]  + b.w,  b ~ N(0, sigma^2)
    3. g = gradient of the forget set's own summands, H = Hessian of those of the retain set
    4. w_k <- w_k + H^{-1} g

Notes on this implementation: step 4 is the paper's w - H^{-1} grad L(w, S_r), because at the
optimum of step 2 the two gradients cancel; the factor lambda that it prints before H^{-1} would
only shorten the step, so lambda is read as the regulariser. Step 2 replaces Original's softmax
head: the logits are then the scores w_k.z, right for ranking classes, but no calibrated softmax.
Guo normalises the features, which a linear head can't do later, so here they keep their size; a
bias is regularised like every weight. The certificate covers the heads alone, and only with
sigma > 0, for which the paper gives no value; the features still know the forget set.

Hyper-parameters (paper's defaults): lam 0.1 (lambda, a sample's share of the regulariser), sigma
0.0 (objective perturbation), batch_size 128 (only for computing features).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rurklib import checks, tensors
from rurklib.tensors import Pair, generator
from rurklib.unlearn.contract import method


def head_of(model: nn.Module, x: Tensor) -> nn.Linear:
    """The last linear layer, or InputError if its output isn't what the model returns."""
    linear = [m for m in model.modules() if isinstance(m, nn.Linear)]
    if not linear:
        raise checks.InputError("CR: the model has no nn.Linear layer; give one with a linear head")
    seen: list[Tensor] = []
    hook = linear[-1].register_forward_hook(lambda *call: seen.append(call[2]))
    with torch.no_grad():
        out = model(tensors.as_float(x[:2]))
    hook.remove()
    if not seen or not torch.equal(seen[-1], out):
        raise checks.InputError("CR: the model's output isn't that of its last nn.Linear layer")
    return linear[-1]


def features(model: nn.Module, head: nn.Linear, x: Tensor, batch_size: int) -> Tensor:
    """Inputs of the head [n, d] in float64, with a column of ones where the head has a bias."""
    seen: list[Tensor] = []
    hook = head.register_forward_hook(lambda *call: seen.append(call[1][0].double()))
    with torch.no_grad():
        for batch in x.split(batch_size):
            model(tensors.as_float(batch))
    hook.remove()
    z = torch.cat(seen)
    return z if head.bias is None else F.pad(z, (0, 1), value=1.0)


def gradient(w: Tensor, z: Tensor, s: Tensor, lam: float) -> Tensor:
    """Gradient of the summed loss of (z, s), each sample with its share of the regulariser."""
    return z.T @ (-s * torch.sigmoid(-s * (z @ w))) + lam * len(z) * w


def solve_hessian(w: Tensor, z: Tensor, lam: float, g: Tensor) -> Tensor:
    """H^{-1} g with H the Hessian that belongs to :func:`gradient`."""
    p = torch.sigmoid(z @ w)
    hessian = (z.T * (p * (1 - p))) @ z
    hessian.diagonal().add_(lam * len(z))
    return torch.cholesky_solve(g[:, None], torch.linalg.cholesky(hessian))[:, 0]


def fit_head(z: Tensor, s: Tensor, lam: float, b: Tensor) -> Tensor:
    """The optimum of step 2 by Newton's method with halved steps, from zero; deterministic."""

    def loss(w: Tensor) -> float:
        return float(F.softplus(-s * (z @ w)).sum() + lam / 2 * len(z) * (w @ w) + b @ w)

    w = torch.zeros_like(b)
    for _ in range(100):
        g = gradient(w, z, s, lam) + b
        step = solve_hessian(w, z, lam, g)
        if step.norm() <= 1e-12 * (1 + w.norm()):
            break
        size = 1.0
        while loss(w - size * step) > loss(w) - 1e-4 * size * float(g @ step) and size > 1e-6:
            size /= 2
        # close to the optimum the loss no longer resolves a step that the gradient still does
        w = w - (size if size > 1e-6 else 1.0) * step
    return w


@method("CR", search={"lam": (1e-4, 1.0)})
@torch.no_grad()
def cr(
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    *,
    seed: int,
    lam: float = 0.1,
    sigma: float = 0.0,
    batch_size: int = 128,
) -> nn.Module:
    """Refit the head on everything, then remove the forget set by one Newton step."""
    checks.number("lam", lam, low=1e-12)
    checks.number("sigma", sigma, low=0.0)
    model.eval()
    head = head_of(model, retain[0])
    if not all(p.requires_grad for p in head.parameters()):
        raise checks.InputError("the head is frozen (requires_grad is False): CR makes a new one")
    zr, zf = (features(model, head, x, batch_size) for x in (retain[0], forget[0]))
    z = torch.cat([zr, zf])
    noise = generator(seed, 3, device=z.device)
    for k in range(head.out_features):
        sr, sf = (2.0 * (y == k) - 1.0 for y in (retain[1], forget[1]))
        b = sigma * torch.randn(z.shape[1], generator=noise, device=z.device, dtype=z.dtype)
        w = fit_head(z, torch.cat([sr, sf]).to(z), lam, b)
        w = w + solve_hessian(w, zr, lam, gradient(w, zf, sf.to(z), lam))
        head.weight[k] = w[: head.in_features]
        if head.bias is not None:
            head.bias[k] = w[-1]
    return model
