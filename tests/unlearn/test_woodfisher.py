"""WoodFisher: its inverse against the explicit one and the recursion, its step against re-training
where that is known."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rurklib import unlearn
from rurklib.unlearn.woodfisher import inverse_fisher


def problem(n: int, rng) -> tuple[nn.Linear, tuple, tuple]:
    """A linear softmax model, ``n`` retained samples and 4 to forget."""
    g = rng(0)
    net = nn.Linear(3, 3).double()
    x = torch.rand(n + 4, 3, generator=g, dtype=torch.float64)
    y = torch.arange(n + 4) % 3
    return net, (x[:n], y[:n]), (x[n:], y[n:])


def per_sample(net: nn.Linear, x: Tensor, y: Tensor) -> Tensor:
    """Gradients of each sample's cross-entropy [n, 12], weights then bias, in closed form."""
    with torch.no_grad():
        d = net(x).softmax(1) - F.one_hot(y, 3)
    return torch.cat([(d[:, :, None] * x[:, None]).flatten(1), d], 1)


def recursion(g: Tensor, v: Tensor, damping: float) -> Tensor:
    """WoodFisher as printed: Sherman-Morrison, one gradient after another."""
    n = len(g)
    inverse = torch.eye(g.shape[1], dtype=g.dtype) / damping
    for one in g:
        put = inverse @ one
        inverse = inverse - torch.outer(put, put) / (n + one @ put)
    return inverse @ v


@pytest.mark.parametrize("damping", [1e-3, 0.1, 1.0])
@pytest.mark.parametrize("n", [3, 40])
def test_the_product_is_that_of_the_explicit_inverse_and_of_the_recursion(n, damping, rng):
    """Fewer and more gradients than weights. Fails if the mean is a sum, or damping is scaled."""
    g = torch.randn(n, 12, generator=rng(0), dtype=torch.float64)
    v = torch.randn(12, generator=rng(1), dtype=torch.float64)
    fisher = damping * torch.eye(12, dtype=torch.float64) + g.T @ g / n
    got = inverse_fisher(g, v, damping)
    torch.testing.assert_close(got, torch.linalg.solve(fisher, v), rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(got, recursion(g, v, damping), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_the_step_on_a_linear_model_is_the_explicit_one(batch_size, rng):
    """w + alpha F^{-1} p (g_f - g_r). Fails with the wrong sign (it would learn the forget set
    better), F of the forget set, or another weight p."""
    net, retain, forget = problem(20, rng)
    alpha, damping = 0.7, 0.05
    out = unlearn(
        "WoodFisher", net, retain, forget, alpha=alpha, damping=damping, batch_size=batch_size
    )
    kept, lost = per_sample(net, *retain), per_sample(net, *forget)
    fisher = damping * torch.eye(12, dtype=torch.float64) + kept.T @ kept / 20
    v = 4 / 24 * (lost.mean(0) - kept.mean(0))
    step = alpha * torch.linalg.solve(fisher, v)
    got = torch.cat([(out.weight - net.weight).flatten(), out.bias - net.bias]).detach()
    torch.testing.assert_close(got, step, rtol=1e-7, atol=1e-10)


def test_the_step_leads_towards_the_model_that_never_saw_the_forget_set(rng):
    """A linear softmax model that is trained to the end, with labels that follow its own law, so
    that F is near the Hessian: the step covers most of the way to the re-trained weights."""
    g = rng(3)
    x = torch.randn(600, 3, generator=g, dtype=torch.float64)
    truth = torch.randn(3, 3, generator=g, dtype=torch.float64)
    y = torch.multinomial((x @ truth.T).softmax(1), 1, generator=g)[:, 0]

    def fitted(n: int) -> nn.Linear:
        net = nn.Linear(3, 3).double()
        with torch.no_grad():
            for p in net.parameters():
                p.zero_()
        lbfgs = torch.optim.LBFGS(net.parameters(), max_iter=200, line_search_fn="strong_wolfe")

        def closure() -> Tensor:
            lbfgs.zero_grad()
            loss = F.cross_entropy(net(x[:n]), y[:n])
            loss.backward()
            return loss

        lbfgs.step(closure)
        return net

    original, retrained = fitted(600), fitted(560)
    out = unlearn(
        "WoodFisher", original, (x[:560], y[:560]), (x[560:], y[560:]), damping=1e-6, bounds=None
    )
    start, end, got = (
        torch.cat([net.weight.flatten(), net.bias]).detach() for net in (original, retrained, out)
    )
    assert (got - end).norm() < 0.35 * (start - end).norm()


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
