"""Samples: a tensor [n, ...], or what stands for one because it is too large for memory.

What isn't a tensor has a length, ``shape``, ``dtype``, ``device``, ``take(index)``, ``x[index]``
and ``split(size)``; its samples are read some at a time. Type hints say Tensor for both.
"""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor

Bounds = tuple[float, float] | None


Pair = tuple[Tensor, Tensor]  # samples [n, ...] and their labels int64 [n]


PIECE = 16 * 2**20  # bytes of samples on disk that are looked at together


def take(x: Tensor, index: Any) -> Tensor:
    """``x[index]``, for an index or a mask. What is no tensor takes itself: samples on disk
    (:class:`rurklib.study.sources.rows.Rows`) stay there, unless they are small."""
    return x[index] if isinstance(x, Tensor) else x.take(index)


def copies(x: Tensor, of: Tensor) -> Tensor:
    """Which samples of ``x`` stand in ``of`` too, byte for byte: bool [len(x)] on the CPU.

    What is remembered is a hash for each sample of ``of``, so both may be on disk.
    """
    wanted = set(hashes(of))
    return torch.tensor([own in wanted for own in hashes(x)], dtype=torch.bool)


def hashes(x: Tensor) -> Iterator[bytes]:
    """A hash of each sample's bytes, 16 bytes long."""
    for piece in pieces(x):
        for row in piece.numpy():
            yield blake2b(row.tobytes(), digest_size=16).digest()


def pieces(x: Tensor) -> Iterator[Tensor]:
    """All of ``x`` in order, contiguous and on the CPU: a tensor whole, samples on disk some at a
    time, so that they never are in memory together."""
    if isinstance(x, Tensor):
        yield x.detach().cpu().contiguous()
    else:
        size = max(1, PIECE // max(1, x[:1].nbytes))
        yield from (piece.cpu() for piece in x.split(size))


def as_float(x: Tensor) -> Tensor:
    """Inputs as the model takes them: uint8 images become x / 255 in [0, 1], floats stay."""
    return x.to(torch.get_default_dtype()).div_(255) if x.dtype == torch.uint8 else x
