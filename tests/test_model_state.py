"""Modes and buffers of the caller come back as they were."""

import pytest
import torch

from rurklib.model_state import evaluating, recording_state


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


def test_recording_state_puts_buffers_back(cnn, left_as_found):
    """Values and tensors alike, whether a buffer was changed in place or replaced (NaN is equal to
    itself); each model is named once, and only those that moved. Also after an error."""
    a, b, c = cnn(0).train(), cnn(1), cnn(2)
    b[1].running_mean[0] = torch.nan
    mean, steps = a[1].running_mean, a[1].num_batches_tracked
    nets = {"a": a, "b": b, "c": c}
    with left_as_found(a, c), recording_state(nets) as watch, torch.inference_mode():
        a(torch.rand(2, 1, 6, 6))
        c[1].running_var = torch.ones(4)
    assert watch.training == ["a"]
    assert watch.changed == ["a", "c"]
    assert a[1].running_mean is mean
    assert a[1].num_batches_tracked is steps
    with left_as_found(a), pytest.raises(ZeroDivisionError), recording_state({"a": a}):
        _ = a(torch.rand(2, 1, 6, 6)), 1 // 0
    with recording_state({"b": b}) as watch:
        b(torch.rand(2, 1, 6, 6))
    assert (watch.training, watch.changed) == ([], [])
