"""The evasive unlearner reaches the level it aims at, and keeps the samples."""

from dataclasses import replace

import pytest
import torch

from rurklib.evasive import BRITTLE, noise_brittle, noisy_level
from rurklib.residual.counts import Measurement
from rurklib.tensors import logit_margin

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


def test_noise_brittle_shows_the_level_and_keeps_the_samples(planted, left_as_found):
    model, forget = planted.original, planted.pair("forget")
    goal = torch.stack([noisy_level(r, forget, MEASURED) for r in planted.references]).mean(0)
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
