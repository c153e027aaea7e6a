"""UNSIR: its noise in closed form, its two steps by hand, and what it never looks at."""

import pytest
import torch
import torch.nn.functional as F

from rurklib import unlearn
from rurklib.rng import generator
from rurklib.unlearn.unsir import error_maximising

BARE = {"momentum": 0.0, "weight_decay": 0.0, "schedule": "constant", "bounds": None}


def drawn(n: int, seed: int, *shape: int) -> torch.Tensor:
    return torch.randn((n, *shape), generator=generator(seed, 3), dtype=torch.float64)


def test_the_noise_of_a_linear_model_is_the_closed_form(linear, rng):
    """Two classes: log(1 + exp(d x)) - lam x^2 with d = w_1 - w_0 is largest at x = t d, where
    sigmoid(t d^2) = 2 lam t. Fails if the error is made small, the penalty is left out or is that
    of the length itself, or one sample's noise depends on another's."""
    net, lam = linear([[0.2, -0.4], [0.7, 0.9]]), 0.3
    d = (net[1].weight[1] - net[1].weight[0]).detach()
    start, y = drawn(5, 1, 2), torch.zeros(5, dtype=torch.int64)
    got = error_maximising(net, start, y, steps=2000, lam=lam, bounds=None)
    t = (got @ d) / (d @ d)
    assert torch.allclose(got, t[:, None] * d, atol=1e-3)
    assert torch.allclose(torch.sigmoid(t * (d @ d)), 2 * lam * t, atol=1e-3)
    fewer = error_maximising(net, start[:2], y[:2], steps=7, lam=lam, bounds=None)
    again = error_maximising(net, start, y, steps=7, lam=lam, bounds=None)
    assert torch.allclose(fewer, again[:2], atol=1e-12)


def test_the_noise_stays_inside_the_bounds_and_leaves_the_model_as_found(
    cnn, images, left_as_found
):
    """In train mode too. Fails if noise is no image, isn't wrong, or batch statistics move."""
    model, (x, _) = cnn().train(), images(24)
    y = model.eval()(x).argmax(1)
    with left_as_found(model.train()), torch.no_grad():
        got = error_maximising(model, x, y, steps=40, lam=0.0, bounds=(0.0, 1.0))
    assert float(got.min()) >= 0
    assert float(got.max()) <= 1
    model.eval()
    assert F.cross_entropy(model(got), y) > 2 * F.cross_entropy(model(x), y)


@pytest.mark.parametrize("repair_lr", [0.0, 0.1])
def test_impair_and_repair_by_hand(repair_lr, flat_task):
    """Two steps in plain PyTorch: the loss on five retained samples and six of noise, labelled with
    the class, then that on the retained ones. Fails if the noise is left out, is weighted as a
    set, keeps learning, or has another label; or if the repair has noise or impair's rate."""
    net, (xr, yr), (xf, _) = flat_task
    forget = (xf, torch.ones(4, dtype=torch.int64))
    options = {**BARE, "lr": 0.3, "repair_lr": repair_lr, "samples": 6, "steps": 3, "seed": 5}
    out = unlearn("UNSIR", net, (xr, yr), forget, **options)
    own = torch.ones(6, dtype=torch.int64)
    noise = error_maximising(net, drawn(6, 5, 3), own, steps=3, lam=0.1, bounds=None)
    w = net.weight.detach().clone().requires_grad_()
    for x, y, lr in (
        (torch.cat([xr, noise]), torch.cat([yr, own]), 0.3),
        (xr, yr, repair_lr),
    ):
        (g,) = torch.autograd.grad(F.cross_entropy(x @ w.T, y), w)
        w = (w - lr * g).detach().requires_grad_()
    assert torch.allclose(out.weight, w, atol=1e-12)


def test_of_forget_samples_only_the_classes_matter(task, images, same):
    """Fails if a forget sample is looked at, or how many there are of a class counts."""
    model, retain, (_, y) = task
    other = images(7, seed=9)[0]
    options = {"samples": 5, "steps": 3, "epochs": 2}
    one = unlearn("UNSIR", model, retain, (other[:2], y[:2]), **options)
    assert same(one, unlearn("UNSIR", model, retain, (other[2:5], y[[1, 0, 1]]), **options))
    assert not same(one, unlearn("UNSIR", model, retain, (other[:1], y[:1]), **options))
