"""Fisher information, SSD, LFSSD, Fisher and WoodFisher: closed forms on small nets."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rurklib import unlearn
from rurklib.models import build
from rurklib.unlearn.fisher import (
    dampening_factor,
    diagonal_fisher,
    expected_fisher,
    fisher,
    inverse_fisher,
    mean_of,
    squared_length,
    ssd,
)

ALPHA = 1e-4


def softmax_regression() -> tuple[nn.Sequential, tuple, tuple, torch.Tensor, torch.Tensor]:
    """A linear softmax model, data, and the diagonal Fisher by hand: E[p_k (1 - p_k) x_j^2]."""
    g = torch.Generator().manual_seed(0)
    x = torch.rand(30, 4, generator=g)
    y = torch.randint(0, 3, (30,), generator=g)
    model = nn.Sequential(nn.Linear(4, 3))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(2 * torch.randn(parameter.shape, generator=g))
        p = model(x[:24]).softmax(1)
    spread = p * (1 - p)
    weight = spread.T @ x[:24].square() / 24
    return model, (x[:24], y[:24]), (x[24:], y[24:]), weight, spread.mean(0)


def test_information_is_expected_over_the_models_labels():
    """Catches the given labels in place of the model's, a forgotten weight p(c | x), a score that
    isn't centred, and a mean taken over batches of unequal length."""
    model, (x, _), _, weight, bias = softmax_regression()
    for batch_size in (5, 64):
        got = expected_fisher(model, x, 3, batch_size=batch_size)
        torch.testing.assert_close(got["0.weight"], weight)
        torch.testing.assert_close(got["0.bias"], bias)


def test_noise_has_covariance_alpha_over_information():
    """Catches a standard deviation in place of the variance (or alpha outside its root), noise in
    proportion to B, information of the forget set, and one draw shared by several weights."""
    model, retain, forget, weight, bias = softmax_regression()
    expected = ALPHA / torch.cat([weight.flatten(), bias])
    start = torch.cat([p.detach().flatten() for p in model.parameters()])
    n = 150
    noise = torch.stack(
        [
            torch.cat(
                [
                    p.detach().flatten()
                    for p in fisher(model, retain, forget, seed=seed, alpha=ALPHA).parameters()
                ]
            )
            - start
            for seed in range(n)
        ]
    )
    scaled = noise / expected.sqrt()
    covariance = scaled.T @ scaled / n
    # standard errors: sqrt(2 / n) = 0.12 on the diagonal, sqrt(1 / n) = 0.08 off it and of means
    torch.testing.assert_close(covariance, torch.eye(15), atol=0.45, rtol=0)
    assert abs(float(covariance.diagonal().mean()) - 1) < 4 * (2 / n / 15) ** 0.5
    assert float(scaled.mean(0).abs().max()) < 4 * n**-0.5


def test_no_alpha_no_noise_and_the_seed_decides(same):
    """Catches noise of a floor of its own, and a weight whose draw the seed doesn't decide."""
    model, retain, forget, *_ = softmax_regression()
    assert same(model, fisher(model, retain, forget, alpha=0.0))
    a, c = (fisher(model, retain, forget, seed=s)[0].weight for s in (1, 2))
    assert bool((a != c).all())


def test_weights_that_are_never_used_get_the_ceiling():
    """Catches a missing clamp: a weight without information would get a variance of alpha / 1e-8
    (here a standard deviation of 100), and one ceiling after alpha instead of before."""
    model, (x, y), (xf, yf), *_ = softmax_regression()
    x, xf = x.clone(), xf.clone()
    x[:, 2] = 0.0
    start = model[0].weight.detach()[:, 2]
    draws = torch.stack(
        [
            fisher(model, (x, y), (xf, yf), seed=s, alpha=ALPHA, ceiling=100.0)[0].weight[:, 2]
            - start
            for s in range(100)
        ]
    ).detach()
    assert abs(float(draws.std()) / (ALPHA * 100) ** 0.5 - 1) < 4 * (2 * 300) ** -0.5


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


def closed_form_lfssd(model: nn.Linear, x: Tensor) -> dict[str, Tensor]:
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
    for name, value in closed_form_lfssd(model, x).items():
        torch.testing.assert_close(got[name], value)


def test_on_a_linear_model_by_hand(samples):
    """Fails with SSD's importance, sets that are exchanged, or alpha or lambda not handed on."""
    model, retain, forget = nn.Linear(4, 3), samples(12, 1, 4), samples(5, 2, 4)
    forget[0][:, 1] *= 0.05  # so that some weights matter more to forget and some to retain
    got = unlearn("LFSSD", model, retain, forget, alpha=1.2, dampening=0.9)
    f, r = closed_form_lfssd(model, forget[0]), closed_form_lfssd(model, retain[0])
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
