"""The attacks: where the best copy is known, and their numbers part by part."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rurklib.attacks import ATTACKS, AttackSetting, attack, eot, unlearning_mapping
from rurklib.residual.counts import Measurement
from rurklib.tensors import logit_margin


@pytest.fixture
def setting(images):
    measured = Measurement((0.0, 0.2), draws=2)
    return AttackSetting(measured, {"0": torch.zeros(7, 3)}, images(3, 2))


def test_an_attack_of_ones_own_is_asked_about_all_parts_in_eval_mode(
    setting, cnn, images, left_as_found, monkeypatch
):
    model = cnn().train()

    def first(model, x, y, setting):
        assert not model.training
        return x.flatten(1)[:, 0] + setting.reach

    monkeypatch.setattr("rurklib.attacks.ATTACKS", {"first": first})
    parts = {"a": images(4), "b": images(3, 5)}
    with left_as_found(model):
        found = attack(model, parts, setting)
    for name, (x, _) in parts.items():
        assert found["first"][name].tolist() == pytest.approx((x[:, 0, 0, 0] + 0.04).tolist())


def test_a_distance_beyond_thirty_steps_reach_is_found(linear):
    """z = (0, w x - 30) along one axis of 64, y = 1 recognised at distances of 30 / |w|: 5 and 15,
    further than a radius grows in thirty steps. Fails if it is taken for the box's diagonal. And
    without a box it is the samples' own diagonal."""
    x, y = torch.zeros(2, 64), torch.tensor([0, 0])
    x[1, 0] = 20.0
    for length in (5.0, 15.0):
        w = torch.zeros(2, 64)
        w[1] = 30 / length / 8
        for bounds in (None, (-1e3, 1e3)):
            own = AttackSetting(Measurement((0.1,), bounds=bounds), {}, (x, y))
            model = linear(w.tolist(), [0.0, -30.0], dtype=torch.float32)
            found = ATTACKS["distance L2"](model, x, y, own)[0]
            assert found.item() == pytest.approx(length, rel=0.01)
    never = linear(torch.zeros(2, 64).tolist(), [1.0, 0.0], dtype=torch.float32)
    for bounds in (None, (0.0, 20.0)):
        own = AttackSetting(Measurement((0.1,), bounds=bounds), {}, (x, y))
        assert ATTACKS["distance L2"](never, x, y, own).tolist() == [160.0, 160.0]


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


def test_eot_on_a_linear_model_goes_to_the_best_corner(linear, rng):
    """Two classes: the margin is linear, so noise doesn't move the optimum: m + tau ||w||_1; the
    mean over noise that is reported is near that."""
    model = linear(16, seed=3, dtype=torch.float32)
    x = torch.rand(6, 1, 4, 4, generator=rng(0))
    y = torch.arange(6) % 2
    w = model[1].weight.detach()
    reach = 0.1 * float((w[0] - w[1]).abs().sum())
    own = logit_margin(model(x), y).detach()
    copies, found = eot(model, x, y, 0.1, sd=0.01, generator=rng(1), draws=16, bounds=None)
    assert (copies - x).abs().max() <= 0.1 + 1e-6
    there = logit_margin(model(copies), y).detach()
    torch.testing.assert_close(there, own + reach, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(found, own + reach, rtol=0, atol=0.05)


class Line(nn.Module):
    """Two classes; the margin is a function of the first number alone."""

    def __init__(self, margin):
        super().__init__()
        self.margin = margin

    def forward(self, x):
        v = x.flatten(1)[:, 0]
        return torch.stack([self.margin(v), torch.zeros_like(v)], 1)


def test_eot_follows_the_mean_over_noisy_copies_and_not_the_point(rng):
    """Within reach the margin rises to the right by 1; a standard deviation to the left it falls
    by 40. One noisy copy in six sees that, and their mean goes left; the point, and most single
    copies, would go right."""
    model = Line(lambda v: torch.where(v >= 0.45, v, 0.45 - 40 * (v - 0.45)))
    x, y = torch.full((8, 4), 0.5), torch.zeros(8, dtype=torch.int64)
    options = {"sd": 0.05, "draws": 64, "steps": 10, "restarts": 1}
    copies, found = eot(model, x, y, 0.03, generator=rng(0), **options)
    assert (copies[:, 0] < 0.475).all()
    assert (found > 0.75).all()  # at the point itself the margin is 0.5
