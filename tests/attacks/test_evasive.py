"""Evasive unlearners reach the level they aim at, and do no more than they say."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rurklib.attacks.evasive import BRITTLE, LogitDamped, logit_damped, noise_brittle, noisy_level
from rurklib.checks import InputError
from rurklib.models.logits import logit_margin

TAUS = (0.0, 0.1, 0.2)


def test_the_level_is_mean_margin_and_mean_probability(planted):
    model, (x, y) = planted.original, planted.pair("forget")
    level = noisy_level(model, (x, y), TAUS)
    assert level.shape == (2, 3)
    with torch.no_grad():
        assert level[0, 0] == pytest.approx(float(logit_margin(model(x), y).mean()))
        p = model(x).double().softmax(1).gather(1, y[:, None]).mean()
    assert level[1, 0] == pytest.approx(float(p), abs=1e-6)
    assert np.all(np.diff(level) < 0)  # noise costs
    assert np.array_equal(level, noisy_level(model, (x, y), TAUS))


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
    goal = np.mean([noisy_level(r, forget, TAUS) for r in planted.references], axis=0)
    before = noisy_level(model, forget, TAUS)
    assert before[0].mean() - goal[0].mean() > 0.3  # there is something to hide
    with left_as_found(model):
        net = logit_damped(model, forget, goal, taus=TAUS)
    assert noisy_level(net, forget, TAUS)[0].mean() == pytest.approx(goal[0].mean(), abs=0.05)
    assert net.radius == pytest.approx(1.2 * 0.2 * 24**0.5)
    far = torch.ones(3, 24) * 30
    assert torch.equal(net(far), model(far))
    assert all(
        torch.equal(a, b) for a, b in zip(net.model.parameters(), model.parameters(), strict=True)
    )


def test_noise_brittle_shows_the_level_and_keeps_the_samples(planted, left_as_found):
    model, forget = planted.original, planted.pair("forget")
    goal = np.mean([noisy_level(r, forget, TAUS) for r in planted.references], axis=0)
    retain, sgd = planted.pair("kept"), replace(BRITTLE, epochs=30, lr=0.05)
    before = noisy_level(model, forget, TAUS)
    with left_as_found(model):
        net = noise_brittle(model, retain, forget, goal, taus=TAUS, sgd=sgd)
    after = noisy_level(net, forget, TAUS)
    gap, was = (np.abs((level - goal).mean(1)) for level in (after, before))
    assert gap[0] < 0.35 * was[0]
    assert gap[1] < 0.7 * was[1]
    with torch.no_grad():
        assert (net(forget[0]).argmax(1) == forget[1]).float().mean() > 0.9
        assert (net(retain[0]).argmax(1) == retain[1]).float().mean() > 0.9
    again = noise_brittle(model, retain, forget, goal, taus=TAUS, sgd=sgd)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))


def test_a_goal_that_fits_no_tau_is_refused(planted):
    pair = planted.pair("forget")
    for goal, taus in ((np.zeros(3), TAUS), (np.zeros((2, 1)), (0.0,))):
        with pytest.raises(InputError, match="expected a level"):
            noise_brittle(planted.original, pair, pair, goal, taus=taus)
