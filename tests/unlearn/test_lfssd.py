"""LFSSD: its importance in closed form, what it dampens by hand, and labels that play no part."""

import pytest
import torch
from torch import Tensor, nn

from rurklib import unlearn
from rurklib.models import build
from rurklib.unlearn.fisher_information import mean_of
from rurklib.unlearn.lfssd import squared_length


def closed_form(model: nn.Linear, x: Tensor) -> dict[str, Tensor]:
    """z = W x + b: d ||z||^2 / dW_cj = 2 z_c x_j, in absolute value and averaged."""
    with torch.no_grad():
        d = 2 * model(x).abs()
    return {"weight": d.T @ x.abs() / len(x), "bias": d.mean(0)}


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_the_importance_of_a_linear_model_is_the_closed_form(batch_size, samples):
    """Fails with squares, with the gradient of the length instead of its square, or with the
    absolute value of a batch's mean, in which outputs of opposite sign cancel."""
    model, (x, y) = nn.Linear(4, 3), samples(7, 1, 4)
    assert bool((model(x) > 0).any(0).logical_and((model(x) < 0).any(0)).any())
    got = mean_of(torch.abs, model, x, y, batch_size=batch_size, of=squared_length)
    for name, value in closed_form(model, x).items():
        torch.testing.assert_close(got[name], value)


def test_on_a_linear_model_by_hand(samples):
    """Fails with SSD's importance, sets that are exchanged, or alpha or lambda not handed on."""
    model, retain, forget = nn.Linear(4, 3), samples(12, 1, 4), samples(5, 2, 4)
    forget[0][:, 1] *= 0.05  # so that some weights matter more to forget and some to retain
    got = unlearn("LFSSD", model, retain, forget, alpha=1.2, dampening=0.9)
    f, r = closed_form(model, forget[0]), closed_form(model, retain[0])
    chosen = 0
    for name, w in model.named_parameters():
        beta = torch.where(f[name] > 1.2 * r[name], 0.9 * r[name] / f[name], 1.0)
        torch.testing.assert_close(got.get_parameter(name), w * beta)
        chosen += int((beta < 1).sum())
    assert 0 < chosen < 15


def test_labels_are_never_used(samples, same):
    """Fails if a likelihood slips in."""
    model = build("small-cnn", 1, 3, seed=0)
    (xr, yr), (xf, yf) = samples(12, 1, 1, 8, 8), samples(5, 2, 1, 8, 8)
    one = unlearn("LFSSD", model, (xr, yr), (xf, yf), alpha=1.5)
    other = unlearn("LFSSD", model, (xr, (yr + 1) % 3), (xf, (yf + 2) % 3), alpha=1.5)
    assert same(one, other)
    assert not same(one, model)
