"""CR: the heads are the optimum of one-vs-rest logistic losses, minus one exact Newton step."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import expit
from torch import nn

from rurklib.checks import InputError
from rurklib.unlearn.cr import cr, fit_head, gradient

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


def test_distance_to_retraining_shrinks_quadratically():
    """Catches any step that is only roughly Newton's: its error is of first order in the number of
    removed samples (here copies of one), so doubling them would double it, not make it fourfold."""
    retain, (x, y) = samples(60, 2), samples(1, 3)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    retrained = np.stack([optimum(*numbers(retain, k)) for k in range(3)])
    error = []
    for copies in (1, 2):
        forget = (x.repeat(copies, 1), y.repeat(copies))
        everything = tuple(torch.cat(pair) for pair in zip(retain, forget, strict=True))
        before = np.stack([optimum(*numbers(everything, k)) for k in range(3)])
        error.append(np.linalg.norm(weights(cr(model, retain, forget, lam=LAM)) - retrained))
        assert error[-1] < 0.1 * np.linalg.norm(before - retrained)
    assert 3.0 < error[1] / error[0] < 5.0


@pytest.mark.parametrize("strength", [0.0, 3.0, 30.0])
def test_fit_is_an_optimum_of_the_perturbed_objective(strength):
    """Catches a dropped, rescaled or sign-flipped objective perturbation, and Newton's method with
    full steps, which runs away where the perturbation is strong and features differ in size."""
    g = torch.Generator().manual_seed(4)
    z = torch.randn(12, 2, generator=g).double()
    z *= 10 ** (3 * torch.rand(12, 1, generator=g).double() - 1)
    s = torch.randn(12, generator=g).double().sign()
    b = strength * torch.stack([torch.randn(2, generator=g) for _ in range(3)])[2].double()
    w = fit_head(z, s, 0.01, b)
    torch.testing.assert_close(gradient(w, z, s, 0.01), -b, atol=1e-7, rtol=0)


def test_noise_comes_from_the_seed_and_only_with_sigma():
    """Catches sigma being ignored, one draw shared by all classes, and an unseeded draw."""
    retain, forget = samples(40, 0), samples(6, 1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    a, b, c, plain, other = (
        weights(cr(model, retain, forget, seed=seed, sigma=sigma))
        for seed, sigma in ((0, 1.0), (0, 1.0), (1, 1.0), (0, 0.0), (1, 0.0))
    )
    assert (a == b).all()
    assert (plain == other).all()
    assert (a != c).all()
    moved = a - plain
    assert np.abs(moved - moved[0]).max() > 0.1


def test_model_without_a_linear_head_is_refused():
    """Catches heads written into a layer that isn't the last: the scores would mean nothing."""
    retain, forget = samples(20, 0), samples(4, 1)
    with pytest.raises(InputError, match="output isn't that of its last"):
        cr(nn.Sequential(nn.Linear(4, 3), nn.Hardtanh(-0.1, 0.1)), retain, forget)
    with pytest.raises(InputError, match="has no nn"):
        cr(
            nn.Sequential(nn.Unflatten(1, (4, 1, 1)), nn.Conv2d(4, 3, 1), nn.Flatten()),
            retain,
            forget,
        )
