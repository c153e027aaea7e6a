"""CR and NTK against SciPy and re-training of linear models."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, jacrev

from rurklib import unlearn
from rurklib.unlearn.closed_form import ntk

EXACT = {"tolerance": 1e-8, "iterations": 1000}


def samples_ntk(n: int, features: int, seed: int) -> tuple[Tensor, Tensor]:
    g = torch.Generator().manual_seed(seed)
    return torch.rand(n, features, generator=g), torch.randint(0, 3, (n,), generator=g)


def flat(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("residual", ["logits", "softmax"])
def test_step_equals_the_papers_block_form(residual):
    """Catches any departure from w + P grad f(S_f)^T M V on a net that isn't linear: J of another
    point or set, a lost batch, weights flattened in two orders, the residual's kind ignored."""
    g = torch.Generator().manual_seed(3)
    model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3)).double()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn(p.shape, generator=g, dtype=torch.float64))
    (xr, yr), (xf, yf) = samples_ntk(12, 4, 4), samples_ntk(5, 4, 5)
    xr, xf = xr.double(), xf.double()
    weights = {k: p.detach() for k, p in model.named_parameters()}
    ridge = 0.03 * 17

    def jacobian_and_residual(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        parts = jacrev(lambda w: functional_call(model, w, (x,)).flatten())(weights)
        j = torch.cat([parts[k].flatten(1) for k in weights], 1)
        out = model(x).detach()
        e = (out if residual == "logits" else out.softmax(1)) - F.one_hot(y, 3)
        return j, e.flatten() - j @ flat(model)  # the ridge is on w + d, so d = -w is the origin

    (jr, er), (jf, ef) = jacobian_and_residual(xr, yr), jacobian_and_residual(xf, yf)
    kernel = jr @ jr.T + ridge * torch.eye(36)
    cross = torch.linalg.solve(kernel, jr @ jf.T)  # Theta_rr^{-1} Theta_rf
    projected = jf.T - jr.T @ cross  # P grad f(S_f)^T
    m = torch.linalg.inv(jf @ jf.T + ridge * torch.eye(15) - (jf @ jr.T) @ cross)
    v = ef - cross.T @ er
    after = ntk(model, (xr, yr), (xf, yf), ridge=0.03, residual=residual, batch_size=5, **EXACT)
    torch.testing.assert_close(flat(after) - flat(model), projected @ m @ v, atol=1e-6, rtol=0)


def test_cr_sees_the_inputs_of_the_last_layer_and_a_bias_is_one_more_feature(samples):
    """Catches features that are another layer's input, and a bias that isn't regularised."""
    (xr, yr), (xf, yf) = samples(40, 0, 4), samples(6, 1, 4)
    body = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
    with torch.no_grad():
        zr, zf = body(xr), body(xf)
    whole = unlearn("CR", nn.Sequential(body, nn.Linear(4, 3)), (xr, yr), (xf, yf), lam=0.05)[1]
    ones = [F.pad(z, (0, 1), value=1.0) for z in (zr, zf)]
    bounds = {"lam": 0.05, "bounds": (-1, 1)}
    head = nn.Sequential(nn.Linear(5, 3, bias=False))
    alone = unlearn("CR", head, (ones[0], yr), (ones[1], yf), **bounds)[0]
    both = torch.cat([whole.weight, whole.bias[:, None]], 1)
    torch.testing.assert_close(both, alone.weight, atol=1e-6, rtol=0)
