"""What the tests of methods share: a small task, samples, and a watchman for bits."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn


@pytest.fixture
def task(cnn, images):
    """(model, retain, forget): a net with BatchNorm, ten images and four."""
    x, y = images(14)
    return cnn(), (x[:10], y[:10]), (x[10:], y[10:])


@pytest.fixture
def same() -> Callable[[nn.Module, nn.Module], bool]:
    """``same(a, b)``: whether two nets have the same weights and buffers, to the bit."""

    def alike(a: nn.Module, b: nn.Module) -> bool:
        one, other = a.state_dict(), b.state_dict()
        return one.keys() == other.keys() and all(torch.equal(v, other[k]) for k, v in one.items())

    return alike


@pytest.fixture
def samples() -> Callable[..., tuple[Tensor, Tensor]]:
    """``samples(n, seed, *shape)``: x float [n, *shape] in [0, 1] and labels 0, 1, 2, 0, ..."""

    def make(n: int, seed: int, *shape: int) -> tuple[Tensor, Tensor]:
        x = torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed))
        return x, torch.arange(n) % 3

    return make
