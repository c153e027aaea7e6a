"""CR and NTK against SciPy and re-training of linear models."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize
from scipy.special import expit
from torch import Tensor, nn
from torch.func import functional_call, jacrev

from rurklib.models import build
from rurklib.unlearn.closed_form import Linearised, cr, fit_head, gradient, ntk

LAM = 0.05


def samples(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    x = rng.random((n, 4)).astype(np.float32)
    y = x @ np.array([[3, 0, 0], [0, 3, 0], [0, 0, 3], [1, 1, 1]]) + rng.normal(0, 0.7, (n, 3))
    return torch.from_numpy(x), torch.from_numpy(y.argmax(1))


def loss(w: np.ndarray, z: np.ndarray, s: np.ndarray) -> tuple[float, np.ndarray]:
    """Guo's loss and its gradient, written down independently in numpy."""
    margin = s * (z @ w)
    value = np.logaddexp(0, -margin).sum() + LAM / 2 * len(z) * w @ w
    return value, -(z * (s * expit(-margin))[:, None]).sum(0) + LAM * len(z) * w


def optimum(z: np.ndarray, s: np.ndarray) -> np.ndarray:
    found = minimize(loss, np.zeros(z.shape[1]), (z, s), "BFGS", jac=True, options={"gtol": 1e-9})
    return found.x


def numbers(pair: tuple, k: int, bias: bool = True) -> tuple[np.ndarray, np.ndarray]:
    z = pair[0].double().numpy()
    z = np.hstack([z, np.ones((len(z), 1))]) if bias else z
    return z, np.where(pair[1].numpy() == k, 1.0, -1.0)


def weights(model: nn.Sequential) -> np.ndarray:
    head = model[-1]
    w = head.weight.detach().double()
    return (w if head.bias is None else torch.cat([w, head.bias[:, None].detach()], 1)).numpy()


@pytest.mark.parametrize(("bias", "hidden"), [(True, False), (False, False), (True, True)])
def test_step_is_newtons_from_the_optimum_of_everything(bias, hidden):
    """Catches a wrong sign or scale of the step, the Hessian of the wrong set, a regulariser that
    isn't counted per sample, labels of the wrong sign, a fit that stops early, and features that
    are another layer's input than the last linear one's."""
    retain, forget = samples(40, 0), samples(6, 1)
    body = nn.Sequential(nn.Linear(4, 4), nn.Tanh()) if hidden else nn.Flatten()
    with torch.no_grad():
        seen = [(body(x), y) for x, y in (retain, forget)]
    model = nn.Sequential(body, nn.Linear(4, 3, bias=bias))
    got = weights(cr(model, retain, forget, lam=LAM))
    for k in range(3):
        (zr, sr), (zf, sf) = (numbers(pair, k, bias) for pair in seen)
        w = optimum(np.vstack([zr, zf]), np.concatenate([sr, sf]))
        p = expit(zr @ w)
        hessian = zr.T @ np.diag(p * (1 - p)) @ zr + LAM * len(zr) * np.eye(len(w))
        expected = w - np.linalg.solve(hessian, loss(w, zr, sr)[1])  # the paper's form
        np.testing.assert_allclose(got[k], expected, atol=1e-6)


def test_fit_is_an_optimum_where_features_differ_in_size():
    """Catches Newton's method with full steps, which runs away there."""
    g = torch.Generator().manual_seed(4)
    z = torch.randn(12, 2, generator=g).double()
    z *= 10 ** (3 * torch.rand(12, 1, generator=g).double() - 1)
    s = torch.randn(12, generator=g).double().sign()
    w = fit_head(z, s, 0.01)
    assert gradient(w, z, s, 0.01).abs().max() < 1e-7


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


def test_products_are_transposes_and_batches_do_not_matter():
    """Catches BatchNorm in train mode (outputs then depend on the batch), and a forward and a
    reverse product that belong to different matrices, on the convolutions and pools really used."""
    x = torch.rand(7, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    model = build("small-cnn", 1, 3, seed=0).train()
    one, many = Linearised(model, 7), Linearised(model, 3)
    d = 0.1 * torch.randn(one.weights.shape, generator=torch.Generator().manual_seed(1))
    e = torch.randn(7, 3, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close((one.push(x, d) * e).sum(), d @ one.pull(x, e), rtol=1e-4, atol=0)
    torch.testing.assert_close(one.push(x, d), many.push(x, d), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(one.pull(x, e), many.pull(x, e), rtol=1e-4, atol=1e-4)
    moved = model(x)
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.add_(1e-3 * one.unflatten(d)[name])
    change = (model(x) - moved).detach() / 1e-3
    torch.testing.assert_close(change, one.push(x, d), rtol=0.1, atol=0.01 * float(change.norm()))
