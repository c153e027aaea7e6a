"""Fisher: the noise has the covariance alpha / B, with B known in closed form on linear models."""

import torch
from torch import nn

from rurklib.unlearn.fisher import expected_fisher, fisher

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
