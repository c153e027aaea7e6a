"""SSD and its importance: the Fisher diagonal in closed form, the dampening by hand."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rurklib.models import build
from rurklib.unlearn.fisher_information import diagonal_fisher
from rurklib.unlearn.ssd import dampening_factor, ssd


def linear(seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(4, 3)


def closed_form(model: nn.Linear, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Logistic regression: d log p(y|x) / dW_cj = (1[c = y] - p_c) x_j, squared and averaged."""
    with torch.no_grad():
        d = (torch.eye(3)[y] - model(x).softmax(1)).square()
    return {"weight": d.T @ x.square() / len(x), "bias": d.mean(0)}


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_fisher_of_logistic_regression_is_the_closed_form(batch_size: int, samples) -> None:
    """Catches squares of a batch's mean gradient (which depend on the batch size), a sum instead
    of a mean, and labels drawn from the model."""
    model, (x, y) = linear(), samples(7, 1, 4)
    got = diagonal_fisher(model, x, y, batch_size=batch_size)
    for name, value in closed_form(model, x, y).items():
        torch.testing.assert_close(got[name], value)
    assert all(p.grad is None for p in model.parameters())


def test_fisher_reads_bytes_as_pixels() -> None:
    """Catches uint8 images used as 0 ... 255, or no gradients inside ``torch.no_grad``."""
    model, x, y = linear(), torch.tensor([[0, 51, 102, 255]], dtype=torch.uint8), torch.tensor([2])
    with torch.no_grad():
        got = diagonal_fisher(model, x, y)["weight"]
    torch.testing.assert_close(got, closed_form(model, x / 255, y)["weight"])
    assert float(got.sum()) > 0


def test_fisher_of_a_batchnorm_net_is_that_of_single_samples_in_eval_mode(samples) -> None:
    """Catches batch statistics in the importance, moved running statistics, and modes that are
    not given back."""
    model = build("small-cnn", 1, 3, seed=0).double().train()
    model.net[1].eval()  # one layer that the user keeps frozen
    x, y = samples(5, 1, 1, 8, 8)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    modes = [m.training for m in model.modules()]
    got = diagonal_fisher(model, x.double(), y, batch_size=2)
    assert [m.training for m in model.modules()] == modes
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    model.eval()
    total = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for i in range(len(x)):
        loss = F.cross_entropy(model(x[i : i + 1].double()), y[i : i + 1])
        for name, g in zip(total, torch.autograd.grad(loss, list(model.parameters())), strict=True):
            total[name] += g.square() / len(x)
    for name, value in total.items():
        torch.testing.assert_close(got[name], value)


def test_dampening_by_hand() -> None:
    """Catches the ratio upside down, >= for >, alpha used as lambda, weights that grow (lambda
    above 1), and 0 / 0 becoming NaN."""
    f = torch.tensor([20.0, 10.0, 5.0, 3.0, 0.0])
    r = torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0])
    got = dampening_factor(f, r, alpha=10.0, dampening=1.0)
    assert got.tolist() == pytest.approx([1 / 20, 1.0, 1.0, 0.0, 1.0])
    got = dampening_factor(f, r, alpha=2.0, dampening=8.0)
    assert got.tolist() == pytest.approx([8 / 20, 8 / 10, 1.0, 0.0, 1.0])


def test_ssd_on_logistic_regression_by_hand(samples) -> None:
    """Catches forget and retain exchanged, the importance of all data used for F_r, weights that
    are replaced instead of scaled, and a bias left out."""
    model, retain, forget = linear(), samples(12, 1, 4), samples(5, 2, 4)
    forget[0][:, 1] *= 0.05  # so that some weights matter more to forget and some to retain
    got = ssd(model, retain, forget, alpha=1.2, dampening=0.9)
    f, r = closed_form(model, *forget), closed_form(model, *retain)
    for name, w in model.named_parameters():
        beta = [
            min(0.9 * b / a, 1.0) if a > 1.2 * b else 1.0
            for a, b in zip(f[name].flatten().tolist(), r[name].flatten().tolist(), strict=True)
        ]
        expected = w.detach() * torch.tensor(beta).view_as(w)
        torch.testing.assert_close(got.get_parameter(name).detach(), expected)
        if name == "weight":
            assert 0 < sum(b < 1 for b in beta) < len(beta)


def test_infinite_alpha_selects_nothing(samples) -> None:
    """Catches inf * 0 = NaN, a weight scaled by almost 1, and BatchNorm statistics that move."""
    model = build("small-cnn", 1, 3, seed=0).train()
    retain, forget = samples(12, 1, 1, 8, 8), samples(5, 2, 1, 8, 8)
    after = ssd(model, retain, forget, alpha=math.inf).state_dict()
    for name, value in model.state_dict().items():
        assert torch.equal(value, after[name]), name
