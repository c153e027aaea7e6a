"""Fisher information, SSD, LFSSD, Fisher and WoodFisher: closed forms on small nets."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rurklib import unlearn
from rurklib.models import build
from rurklib.unlearn.fisher import (
    dampening_factor,
    inverse_fisher,
    mean_of,
)


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
    got = mean_of(torch.square, model, x, y, batch_size=batch_size)
    for name, value in closed_form(model, x, y).items():
        torch.testing.assert_close(got[name], value)
    assert all(p.grad is None for p in model.parameters())


def test_fisher_reads_bytes_as_pixels() -> None:
    """Catches uint8 images used as 0 ... 255, or no gradients inside ``torch.no_grad``."""
    model, x, y = linear(), torch.tensor([[0, 51, 102, 255]], dtype=torch.uint8), torch.tensor([2])
    with torch.no_grad():
        got = mean_of(torch.square, model, x, y)["weight"]
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
    got = mean_of(torch.square, model, x.double(), y, batch_size=2)
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


def test_labels_are_never_used(samples, same):
    """Fails if a likelihood slips in."""
    model = build("small-cnn", 1, 3, seed=0)
    (xr, yr), (xf, yf) = samples(12, 1, 1, 8, 8), samples(5, 2, 1, 8, 8)
    one = unlearn("LFSSD", model, (xr, yr), (xf, yf), alpha=1.5)
    other = unlearn("LFSSD", model, (xr, (yr + 1) % 3), (xf, (yf + 2) % 3), alpha=1.5)
    assert same(one, other)
    assert not same(one, model)


def problem(n: int, rng) -> tuple[nn.Linear, tuple, tuple]:
    """A linear softmax model, ``n`` retained samples and 4 to forget."""
    g = rng(0)
    net = nn.Linear(3, 3).double()
    x = torch.rand(n + 4, 3, generator=g, dtype=torch.float64)
    y = torch.arange(n + 4) % 3
    return net, (x[:n], y[:n]), (x[n:], y[n:])


@pytest.mark.parametrize("damping", [1e-3, 0.1, 1.0])
@pytest.mark.parametrize("n", [3, 40])
def test_the_product_is_that_of_the_explicit_inverse(n, damping, rng):
    """Fewer and more gradients than weights. Fails if the mean is a sum, or damping is scaled."""
    g = torch.randn(n, 12, generator=rng(0), dtype=torch.float64)
    v = torch.randn(12, generator=rng(1), dtype=torch.float64)
    fisher = damping * torch.eye(12, dtype=torch.float64) + g.T @ g / n
    got = inverse_fisher(g, v, damping)
    torch.testing.assert_close(got, torch.linalg.solve(fisher, v), rtol=1e-8, atol=1e-8)


def test_samples_are_drawn_if_there_are_more(rng):
    """Fails if the cap is ignored, or the draw isn't the seed's alone."""
    net, retain, forget = problem(20, rng)
    options = {"damping": 0.01}
    whole = unlearn("WoodFisher", net, retain, forget, samples=20, seed=1, **options).weight
    same = unlearn("WoodFisher", net, retain, forget, samples=99, seed=2, **options).weight
    assert torch.equal(whole, same)
    a, b, c = (
        unlearn("WoodFisher", net, retain, forget, samples=6, seed=s, **options).weight
        for s in (1, 1, 2)
    )
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert not torch.equal(a, whole)
