"""Random states: a block's own, and the caller's as it was; streams that never repeat another."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rurklib.rng import generator, mixed_seed, seeded


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


def test_the_random_state_comes_back_after_an_error(same_random_state):
    def fails():
        torch.rand(2)
        raise RuntimeError("halfway")

    with same_random_state(), pytest.raises(RuntimeError, match="halfway"), seeded(1):
        fails()


def test_a_generator_is_its_own(same_random_state):
    with same_random_state():
        one, same, other = (torch.rand(4, generator=generator(0, i)) for i in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert not torch.equal(one, torch.rand(4, generator=generator(1, 1)))


numbers = st.lists(st.integers(0, 2**40), min_size=1, max_size=3)


@given(numbers, numbers)
def test_different_streams_have_different_seeds(a, b):
    """Names of one length: neither order nor a zero is lost."""
    if len(a) == len(b) and max(a + b) < 2**32:
        assert (mixed_seed(*a) == mixed_seed(*b)) == (a == b)
    assert 0 <= mixed_seed(*a) < 2**63


@pytest.mark.parametrize(
    ("a", "b"), [((3,), (3, 0)), ((3, 1), (3, 1, 0)), ((2**32,), (0, 1)), ((5,), (5, 0, 0))]
)
def test_streams_named_by_different_lengths_differ(a, b):
    """generator(seed, 1) orders a method's batches and generator(seed, 1, 0) draws noise; one
    must not repeat the other. Fails if numbers are handed to SeedSequence as they are: it pads
    with zeros, and reads a number above 2**32 as two."""
    assert mixed_seed(*a) != mixed_seed(*b)
