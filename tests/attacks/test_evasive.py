"""Evasive unlearners reach the level they aim at, and do no more than they say."""

from dataclasses import replace

import pytest
import torch

from rurklib.attacks.evasive import (
    BRITTLE,
    LogitDamped,
    level_of,
    logit_damped,
    noise_brittle,
    noisy_level,
)
from rurklib.checks import InputError
from rurklib.models.logits import logit_margin
from rurklib.residual.spec import Measurement

MEASURED = Measurement((0.0, 0.1, 0.2))


def test_the_level_is_mean_margin_and_mean_probability(planted):
    model, (x, y) = planted.original, planted.pair("forget")
    level = noisy_level(model, (x, y), MEASURED)
    assert level.shape == (2, 3)
    with torch.no_grad():
        assert level[0, 0] == pytest.approx(float(logit_margin(model(x), y).mean()))
        p = model(x).double().softmax(1).gather(1, y[:, None]).mean()
    assert level[1, 0] == pytest.approx(float(p), abs=1e-6)
    assert (level.diff() < 0).all()  # noise costs
    assert torch.equal(level, noisy_level(model, (x, y), MEASURED))


def test_damping_by_hand(linear):
    """Within the radius the stored sample's logit falls by the shift; no other, nor outside."""
    model = linear(torch.eye(3), dtype=torch.float32)
    stored = torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    net = LogitDamped(model, stored, torch.tensor([0, 2]), radius=0.5, shift=2.0)
    x = torch.tensor([[0.1, 0.1, 0.1], [0.9, 1.0, 1.0], [0.5, 0.5, 0.5]])
    wanted = x - torch.tensor([[2.0, 0, 0], [0, 0, 2.0], [0, 0, 0]])
    torch.testing.assert_close(net(x), wanted)
    torch.testing.assert_close(net(stored[:1]), torch.tensor([[-2.0, 0, 0]]))  # distance 0


def test_damped_shows_the_level_that_it_aims_at(planted, left_as_found):
    """And far away, and on other samples' own places, it is the model itself."""
    model, forget = planted.original, planted.pair("forget")
    goal = level_of(planted.references, forget, MEASURED)
    before = noisy_level(model, forget, MEASURED)
    assert before[0].mean() - goal[0].mean() > 0.3  # there is something to hide
    with left_as_found(model):
        net = logit_damped(model, planted.pair("kept"), forget, planted.references, MEASURED)
    shown = noisy_level(net, forget, MEASURED)
    assert float((shown - goal)[0].mean()) == pytest.approx(0, abs=0.05)
    assert net.radius == pytest.approx(1.2 * 0.2 * 24**0.5)
    far = torch.ones(3, 24) * 30
    assert torch.equal(net(far), model(far))
    assert all(
        torch.equal(a, b) for a, b in zip(net.model.parameters(), model.parameters(), strict=True)
    )


def test_noise_brittle_shows_the_level_and_keeps_the_samples(planted, left_as_found):
    model, forget = planted.original, planted.pair("forget")
    goal = level_of(planted.references, forget, MEASURED)
    retain, sgd = planted.pair("kept"), replace(BRITTLE, epochs=30, lr=0.05)
    before = noisy_level(model, forget, MEASURED)
    with left_as_found(model):
        net = noise_brittle(model, retain, forget, planted.references, MEASURED, sgd=sgd)
    after = noisy_level(net, forget, MEASURED)
    gap, was = ((level - goal).mean(1).abs() for level in (after, before))
    assert gap[0] < 0.35 * was[0]
    assert gap[1] < 0.7 * was[1]
    with torch.no_grad():
        assert (net(forget[0]).argmax(1) == forget[1]).float().mean() > 0.9
        assert (net(retain[0]).argmax(1) == retain[1]).float().mean() > 0.9
    again = noise_brittle(model, retain, forget, planted.references, MEASURED, sgd=sgd)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))


def test_without_noise_there_is_nothing_to_aim_at(planted):
    pair = planted.pair("forget")
    with pytest.raises(InputError, match=r"\(0.0,\): expected one above 0"):
        noise_brittle(planted.original, pair, pair, planted.references, Measurement((0.0,)))
