"""RURK: the terms of its loss by hand, its gradient by finite differences, its special cases."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rurklib import METHODS, InputError, rurk_loss, unlearn
from rurklib.perturb.noise import gaussian
from rurklib.perturb.perturbations import PERTURBATIONS, Perturbation


def vector(net: nn.Module) -> torch.Tensor:
    return torch.cat([v.flatten().double() for v in net.state_dict().values()])


@pytest.fixture
def task(cnn, images):
    """(model, retain, forget)"""
    x, y = images(14)
    return cnn(), (x[:10], y[:10]), (x[10:], y[10:])


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


def test_the_perturbed_term_is_the_mean_over_v_copies(linear, rng):
    """Copies are drawn one after the other from the generator; labels are repeated along. Fails
    if labels are interleaved, or if v copies count v times."""
    net = linear(3, dtype=torch.float32)
    x, y = torch.rand(4, 3, generator=rng(1)), torch.tensor([0, 1, 1, 0])
    out = rurk_loss(net, (x, y), (x, y), tau=0.2, v=3, generator=rng(0))
    gen = rng(0)
    terms = [F.cross_entropy(net(gaussian(x, 0.2, generator=gen)), y).item() for _ in range(3)]
    assert len(set(terms)) == 3
    assert out.perturbed.item() == pytest.approx(sum(terms) / 3, rel=1e-5)


def test_eq_6_is_lambda_f_zero(task, rng):
    """The paper's Eq. 6 has no clean forget term. With one weight, lambda_a, it is retain minus
    lambda_a times kappa."""
    out = rurk_loss(*task, lambda_f=0.0, lambda_a=0.7, tau=0.1, generator=rng(0))
    assert out.total.item() == pytest.approx((out.retain - 0.7 * out.perturbed).item())
    assert out.forget.item() != pytest.approx(out.perturbed.item())


@pytest.mark.parametrize("weight", ["lambda_f", "lambda_a"])
def test_a_step_down_the_loss_raises_the_forget_term(weight, task, rng):
    """Descent on the total must *raise* the forget terms. Fails if a sign is flipped: Algorithm 1
    prints w + grad, which would teach the forget samples."""
    model, retain, forget = task
    only = {"lambda_f": 0.0, "lambda_a": 0.0} | {weight: 1.0}
    options = {"tau": 0.1, "generator": rng(0), **only}
    out = rurk_loss(model, retain, forget, **options)
    (out.total - out.retain).backward()
    with torch.no_grad():
        for p in model.parameters():
            p -= 1e-3 * p.grad
    after = rurk_loss(model, retain, forget, **{**options, "generator": rng(0)})
    term = "forget" if weight == "lambda_f" else "perturbed"
    assert getattr(after, term) > getattr(out, term)


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


def test_gradient_copies_are_those_still_recognised(task, rng):
    """The vulnerable set: copies found by FGSM have a lower loss than the samples themselves."""
    out = rurk_loss(*task, tau=0.05, perturbation="fgsm", generator=rng(0))
    assert out.perturbed < out.forget


def test_bad_numbers_are_refused(task, rng):
    for name in ("tau", "lambda_f", "lambda_a"):
        with pytest.raises(InputError, match=f"{name} = -1"):
            rurk_loss(*task, generator=rng(0), **{name: -1})
    with pytest.raises(InputError, match="v = 0"):
        rurk_loss(*task, generator=rng(0), v=0)
    with pytest.raises(InputError, match="did you mean 'gaussian'"):
        rurk_loss(*task, generator=rng(0), perturbation="gauss")


# --- the method ---------------------------------------------------------------------------------

GD_LIKE = {
    "epochs": 3,
    "lr": 0.05,
    "momentum": 0.9,
    "weight_decay": 1e-4,
    "batch_size": 4,
    "batchnorm": "train",
}


def test_without_its_forget_terms_rurk_is_fine_tuning(task):
    """lambda_f = lambda_a = 0 is GD, to the bit... but for a forward pass of the forget batch,
    which moves BatchNorm's statistics in train mode; so the layers are frozen in both. Fails if
    the order of retain batches depends on anything but the seed, or a weight is not applied."""
    shared = {**GD_LIKE, "batchnorm": "frozen"}
    rurk = unlearn("RURK", *task, lambda_f=0.0, lambda_a=0.0, clip=None, seed=2, **shared)
    gd = unlearn("GD", *task, seed=2, **shared)
    assert torch.equal(vector(rurk), vector(gd))
    assert not torch.equal(vector(rurk), vector(task[0]))


def test_without_its_perturbed_term_rurk_is_neggrad_plus(task):
    """lambda_a = 0 is NegGrad+ with beta = lambda_f."""
    shared = {**GD_LIKE, "batchnorm": "frozen"}
    rurk = unlearn("RURK", *task, lambda_f=0.2, lambda_a=0.0, **shared)
    plus = unlearn("NegGrad+", *task, beta=0.2, **shared)
    assert torch.allclose(vector(rurk), vector(plus), atol=1e-6)
    assert not torch.allclose(vector(rurk), vector(unlearn("GD", *task, **shared)), atol=1e-4)


def test_frozen_batchnorm_keeps_its_statistics_to_the_bit(task):
    """And "train" moves them. Fails if frozen layers are put back into train mode."""
    before = task[0][1]
    for mode, same in (("frozen", True), ("train", False)):
        after = unlearn("RURK", *task, batchnorm=mode, lr=0.1)[1]
        assert torch.equal(after.running_mean, before.running_mean) == same
        assert torch.equal(after.running_var, before.running_var) == same
        assert torch.equal(after.num_batches_tracked, before.num_batches_tracked) == same
        assert not torch.equal(after.weight, before.weight)  # its weights learn either way


@pytest.mark.parametrize("option", [{"tau": 0.3}, {"lambda_f": 1.0}, {"v": 2}])
def test_every_knob_is_connected(option, task):
    """Fails if a hyper-parameter doesn't reach the loss."""
    plain = unlearn("RURK", *task, lr=0.1, lambda_a=1.0)
    turned = unlearn("RURK", *task, lr=0.1, lambda_a=1.0, **option)
    assert not torch.equal(vector(plain), vector(turned))


def test_the_law_is_connected(task):
    outs = [
        vector(unlearn("RURK", *task, lr=0.1, tau=0.1, lambda_a=1.0, perturbation=law))
        for law in ("gaussian", "fgsm", "pgd")
    ]
    assert not torch.equal(outs[0], outs[1])
    assert not torch.equal(outs[1], outs[2])


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


def test_unbounded_data_with_bounds_none(linear, rng):
    """Data outside [0, 1] are used with ``bounds=None``, and refused without."""
    x, y = torch.randn(8, 4, generator=rng(0)) * 5, torch.arange(8) % 2
    net, retain, forget = linear(4, dtype=torch.float32), (x[:5], y[:5]), (x[5:], y[5:])
    out = unlearn("RURK", net, retain, forget, bounds=None, lambda_a=0.5)
    assert not torch.equal(vector(out), vector(net))
    with pytest.raises(InputError, match="retain x spans"):
        unlearn("RURK", net, retain, forget)
