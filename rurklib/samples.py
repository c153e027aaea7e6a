"""Samples: bytes as floats, and which stand in two sets."""

from collections.abc import Iterator
from hashlib import blake2b

import torch
from torch import Tensor

Bounds = tuple[float, float] | None
Pair = tuple[Tensor, Tensor]  # samples [n, ...] and their labels int64 [n]


def of_one_kind(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both as they are; or as floats, where one is uint8 and the other isn't."""
    return (a, b) if a.dtype == b.dtype else (as_float(a), as_float(b))


def copies(x: Tensor, of: Tensor) -> Tensor:
    """Which samples of ``x`` stand in ``of`` too, byte for byte: bool [len(x)] on the CPU."""
    wanted = set(hashes(of))
    return torch.tensor([sample in wanted for sample in hashes(x)], dtype=torch.bool)


def hashes(x: Tensor) -> Iterator[bytes]:
    """A hash of each sample's bytes, 16 bytes long."""
    for row in x.detach().cpu().contiguous().numpy():
        yield blake2b(row.tobytes(), digest_size=16).digest()


def as_float(x: Tensor) -> Tensor:
    """Inputs as the model takes them: uint8 images become x / 255 in [0, 1], floats stay."""
    return x.to(torch.get_default_dtype()).div_(255) if x.dtype == torch.uint8 else x
