"""RURK: the terms of its loss by hand, its gradient by finite differences, its special cases."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rurklib import METHODS, InputError, rurk_loss, unlearn
from rurklib.perturb.noise import gaussian
from rurklib.perturb.perturbations import PERTURBATIONS, Perturbation


def softplus(z: float) -> float:
    return math.log1p(math.exp(z))


def test_the_terms_by_hand(linear, rng):
    """z = (0, x): the cross-entropy of class 1 is log(1 + e^-x), of class 0 log(1 + e^x).
    Fails if a term is summed instead of averaged, or a sign or weight is swapped."""
    net = linear([[0.0], [1.0]], bias=[0.0, 0.0])
    x = torch.tensor([[0.0], [0.5], [1.0]], dtype=torch.float64)
    retain = (x, torch.tensor([1, 1, 0]))
    forget = (x[:2] + 0.2, torch.tensor([0, 1]))
    out = rurk_loss(net, retain, forget, tau=0.0, lambda_f=0.5, lambda_a=0.25, generator=rng(0))
    kept = (softplus(0) + softplus(-0.5) + softplus(1.0)) / 3
    lost = (softplus(0.2) + softplus(-0.7)) / 2
    assert out.retain.item() == pytest.approx(kept)
    assert out.forget.item() == pytest.approx(lost)
    assert out.perturbed.item() == pytest.approx(lost)  # tau = 0: the copies are the samples
    assert out.total.item() == pytest.approx(kept - 0.5 * lost - 0.25 * lost)


@pytest.mark.parametrize("law", ["gaussian", "fgsm"])
@pytest.mark.parametrize("variant", [{}, {"target": "random"}, {"recognised_only": True}])
def test_the_gradient_is_that_of_finite_differences(law, variant, images, rng):
    """Central differences in float64, the copies held fixed by reseeding. Fails if a term is
    detached, or weighted in its value but not in its gradient."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(36, 4), nn.Tanh(), nn.Linear(4, 3)).double()
    x, y = images(9)
    x = 0.2 + 0.6 * x.double()
    retain, forget = (x[:5], y[:5]), (x[5:], y[5:])

    def total() -> torch.Tensor:
        options = {"tau": 0.1, "lambda_f": 0.4, "lambda_a": 0.6, "v": 2, "perturbation": law}
        return rurk_loss(net, retain, forget, generator=rng(0), **options, **variant).total

    total().backward()
    eps = 1e-6
    for p in net.parameters():
        flat, grad = p.data.view(-1), p.grad.view(-1)
        for i in range(0, len(flat), max(1, len(flat) // 5)):
            before = flat[i].item()
            flat[i] = before + eps
            up = total().item()
            flat[i] = before - eps
            down = total().item()
            flat[i] = before
            assert grad[i].item() == pytest.approx((up - down) / (2 * eps), abs=1e-7)


def test_the_loss_leaves_the_mode_and_the_random_state_alone(task, rng, same_random_state):
    """The model is used in its own mode, and copies are found in eval mode. Fails after a
    blanket train() or a draw from the global state."""
    model, retain, forget = task
    model.train()
    model[1].eval()
    modes = [m.training for m in model.modules()]
    with same_random_state():
        for law in ("gaussian", "fgsm", "pgd"):
            out = rurk_loss(model, retain, forget, tau=0.1, perturbation=law, generator=rng(0))
            assert out.total.requires_grad
    assert [m.training for m in model.modules()] == modes
    assert all(p.grad is None for p in model.parameters())


# --- the method ---------------------------------------------------------------------------------

GD_LIKE = {"epochs": 3, "lr": 0.05, "weight_decay": 1e-4, "batch_size": 4, "batchnorm": "frozen"}


def test_without_its_perturbed_term_rurk_is_neggrad_plus(task):
    """lambda_a = 0 is NegGrad+ with beta = lambda_f."""
    rurk = unlearn("RURK", *task, lambda_f=0.2, lambda_a=0.0, **GD_LIKE)
    plus = unlearn("NegGrad+", *task, beta=0.2, **GD_LIKE)
    one, other = (torch.cat([p.flatten() for p in m.parameters()]) for m in (rurk, plus))
    assert torch.allclose(one, other, atol=1e-6)
    plain = torch.cat([p.flatten() for p in unlearn("GD", *task, **GD_LIKE).parameters()])
    assert not torch.allclose(one, plain, atol=1e-4)


KNOBS = [
    ({}, {"tau": 0.3}),
    ({}, {"lambda_f": 1.0}),
    ({}, {"v": 2}),
    ({"perturbation": "gaussian"}, {"perturbation": "fgsm"}),
    ({"perturbation": "fgsm"}, {"perturbation": "pgd"}),
    ({"perturbation": "fgsm"}, {"perturbation": "fgsm", "recognised_only": True}),
    ({"perturbation": "fgsm"}, {"perturbation": "fgsm", "target": "random"}),
]


@pytest.mark.parametrize(("plain", "turned"), KNOBS)
def test_every_knob_is_connected(plain, turned, task, same):
    """Fails if a hyper-parameter doesn't reach the loss."""
    shared = {"lr": 0.1, "lambda_a": 1.0, "tau": 0.1}
    a, b = (unlearn("RURK", *task, **{**shared, **more}) for more in (plain, turned))
    assert not same(a, b)


def test_copies_are_drawn_afresh_at_every_step(task, monkeypatch):
    """A law of our own writes down what its generator gives. Fails if the generator is made anew
    for every step: the same noise each time would be learned, not a neighbourhood."""
    seen = []

    def draw(model, x, y, tau, generator, bounds):
        seen.append(torch.rand(1, generator=generator).item())
        return x

    monkeypatch.setitem(PERTURBATIONS, "spy", Perturbation(draw, gradient_based=False, random=True))
    unlearn("RURK", *task, perturbation="spy", v=2, epochs=3, batch_size=5)
    assert len(seen) == len(set(seen)) == 2 * 3 * 2  # v copies, epochs, batches


def test_rurk_forgets_near_the_sample_while_it_keeps_the_rest(task):
    """What it is for: the loss on perturbed forget samples rises above that of fine-tuning."""
    model, retain, (xf, yf) = task
    options = {"epochs": 20, "lr": 0.05, "batch_size": 10}
    rurk = METHODS["RURK"](model, retain, (xf, yf), tau=0.1, lambda_a=0.3, **options)
    gd = METHODS["GD"](model, retain, (xf, yf), batchnorm="frozen", **options)
    near = gaussian(xf.repeat(20, 1, 1, 1), 0.1, generator=torch.Generator().manual_seed(0))
    losses = [F.cross_entropy(m(near), yf.repeat(20)).item() for m in (rurk, gd)]
    assert losses[0] > losses[1] + 0.1
    kept = [F.cross_entropy(m(retain[0]), retain[1]).item() for m in (rurk, model)]
    assert kept[0] < kept[1]


def test_unbounded_data_with_bounds_none(linear, rng, same):
    """Data outside [0, 1] are used with ``bounds=None``, and refused without."""
    x, y = torch.randn(8, 4, generator=rng(0)) * 5, torch.arange(8) % 2
    net, retain, forget = linear(4, dtype=torch.float32), (x[:5], y[:5]), (x[5:], y[5:])
    out = unlearn("RURK", net, retain, forget, bounds=None, lambda_a=0.5)
    assert not same(out, net)
    with pytest.raises(InputError, match="retain x spans"):
        unlearn("RURK", net, retain, forget)
