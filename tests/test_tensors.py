"""Samples as floats, random streams that never repeat another, and modes: the caller's stay as they
were."""

import pytest
import torch

from rurklib.tensors import as_float, copies, evaluating, mixed_seed, seeded


def test_bytes_become_shares_of_255_and_the_caller_keeps_his():
    x = torch.tensor([0, 51, 255], dtype=torch.uint8)
    assert as_float(x).tolist() == pytest.approx([0, 0.2, 1])
    assert x.tolist() == [0, 51, 255]
    f = torch.rand(2)
    assert as_float(f) is f


def test_copies_are_found_byte_for_byte():
    x = torch.tensor([[0.0, 1.0], [-0.0, 1.0], [2.0, 3.0]])
    assert copies(x, x[[0, 0]]).tolist() == [True, False, False]
    assert copies(x, x[:0]).tolist() == [False, False, False]


def test_seeded_runs_on_a_random_state_of_its_own():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with seeded(1):
        inside = torch.rand(2)
    with seeded(1):
        assert torch.equal(torch.rand(2), inside)
    with seeded(2):
        assert not torch.equal(torch.rand(2), inside)
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize(
    ("a", "b"), [((3,), (3, 0)), ((3, 1), (3, 1, 0)), ((2**32,), (0, 1)), ((5,), (5, 0, 0))]
)
def test_streams_named_by_different_lengths_differ(a, b):
    """generator(seed, 1) orders a method's batches and generator(seed, 1, 0) draws noise; one
    must not repeat the other. Fails if numbers are handed to SeedSequence as they are: it pads
    with zeros, and reads a number above 2**32 as two."""
    assert mixed_seed(*a) != mixed_seed(*b)


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
