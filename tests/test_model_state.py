"""Modes and buffers of the caller come back as they were."""

import pytest

from rurklib.model_state import evaluating


def test_every_submodule_gets_its_own_mode_back(cnn):
    """Fails after a blanket ``model.train()``: it would unfreeze the BatchNorm layer."""
    a, b = cnn(0), cnn(1)
    a.train()
    a[1].eval()
    b[3].train()
    modes = [[m.training for m in net.modules()] for net in (a, b)]
    with evaluating(a, b, a):
        assert not any(m.training for net in (a, b) for m in net.modules())
    assert [[m.training for m in net.modules()] for net in (a, b)] == modes


def test_modes_come_back_after_an_error(cnn):
    net = cnn().train()
    with pytest.raises(ZeroDivisionError), evaluating(net):
        _ = 1 / 0
    assert all(m.training for m in net.modules())
