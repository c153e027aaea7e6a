"""The mapping attack where the least KL in a ball is known."""

import pytest
import torch
import torch.nn.functional as F

from rurklib.attacks.uma import unlearning_mapping


def kl(a, b):
    """KL of two-class distributions with log-odds a (target) and b."""
    p, q = (torch.stack([F.logsigmoid(z), F.logsigmoid(-z)], 1) for z in (a, b))
    return (p.exp() * (p - q)).sum(1)


def test_the_nearest_answer_of_a_linear_model(linear, rng):
    """Two classes: within tau the log-odds move by tau ||w||_1 at most; the KL left is that of what
    they can't reach, and 0 where they can. Catches arguments of KL swapped."""
    model = linear(16, seed=3)
    x = torch.rand(8, 16, generator=rng(0), dtype=torch.float64)
    z = model(x).detach()
    own = z[:, 0] - z[:, 1]
    w = model[1].weight.detach()
    reach = 0.05 * float((w[0] - w[1]).abs().sum())
    shift = torch.tensor([0.3, -0.3, 0.9, -0.9, 2.0, -2.0, 4.0, 0.0], dtype=torch.float64) * reach
    targets = torch.stack([own + shift, torch.zeros_like(own)], 1)
    copies, near = unlearning_mapping(model, x, targets, 0.05, steps=60, bounds=None)
    left = shift.sign() * (shift.abs() - reach).clamp(min=0)
    wanted = kl(own + shift, own + shift - left)
    torch.testing.assert_close(near, wanted, rtol=1e-2, atol=2e-3)
    assert (copies - x).abs().max() <= 0.05 + 1e-9
    said = model(copies).detach()
    torch.testing.assert_close(kl(own + shift, said[:, 0] - said[:, 1]), near)


def test_at_tau_0_it_is_what_the_model_says_and_searching_is_no_worse(cnn, images):
    model, (x, _) = cnn(), images(6)
    targets = cnn(1)(x).detach()
    at_0 = unlearning_mapping(model, x, targets, 0.0)
    assert torch.equal(at_0[0], x)
    said = model(x).detach().double().log_softmax(1)
    own = F.kl_div(said, targets.double().log_softmax(1), reduction="none", log_target=True).sum(1)
    torch.testing.assert_close(at_0[1], own)
    copies, near = unlearning_mapping(model, x, targets, 0.1, steps=10)
    assert (near <= own + 1e-12).all()
    assert (near < own - 1e-3).any()
    assert copies.min() >= 0
    assert copies.max() <= 1
    assert float(unlearning_mapping(model, x, model(x).detach(), 0.1)[1].max()) == pytest.approx(
        0, abs=1e-9
    )
