"""Samples: bytes as floats, and what stands in two sets."""

import pytest
import torch

from rurklib import samples


def test_bytes_become_shares_of_255_and_the_caller_keeps_his():
    x = torch.tensor([0, 51, 255], dtype=torch.uint8)
    assert samples.as_float(x).tolist() == pytest.approx([0, 0.2, 1])
    assert x.tolist() == [0, 51, 255]
    f = torch.rand(2)
    assert samples.as_float(f) is f


def test_copies_are_found_byte_for_byte():
    x = torch.tensor([[0.0, 1.0], [-0.0, 1.0], [2.0, 3.0]])
    assert samples.copies(x, x[[0, 0]]).tolist() == [True, False, False]
    assert samples.copies(x, x[:0]).tolist() == [False, False, False]
