"""Samples: a tensor [n, ...], or what stands for one because it is too large for memory.

What isn't a tensor has a length, ``shape``, ``dtype``, ``device``, ``take(index)``, ``x[index]``,
``split(size)`` and ``glimpses(a, b)``; its samples are read some at a time. Type hints say Tensor
for both.
"""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

import torch
from torch import Tensor

Bounds = tuple[float, float] | None
Pair = tuple[Tensor, Tensor]  # samples [n, ...] and their labels int64 [n]

PIECE = 16 * 2**20  # bytes of samples on disk that are looked at together
GLIMPSE = 16  # numbers in the middle of a sample that tell it from most others


def take(x: Tensor, index: Any) -> Tensor:
    """``x[index]``, for an index or a mask. What is no tensor takes itself: samples on disk
    (:class:`rurklib.study.sources.rows.Rows`) stay there, unless they are small."""
    return x[index] if isinstance(x, Tensor) else x.take(index)


def of_one_kind(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both as they are; or as floats, where one is uint8 and the other isn't."""
    return (a, b) if a.dtype == b.dtype else (as_float(a), as_float(b))


def copies(x: Tensor, of: Tensor) -> Tensor:
    """Which samples of ``x`` stand in ``of`` too, byte for byte: bool [len(x)] on the CPU.

    What is remembered is a hash for each sample of ``of``, so both may be on disk. Of ``x`` only
    those are hashed, and read whole, that agree in the middle with one of ``of``.
    """
    wanted, seen = set(hashes(of)), set(_glimpses(of))
    found = torch.tensor([own in seen for own in _glimpses(x)], dtype=torch.bool)
    found[found.clone()] = torch.tensor([own in wanted for own in hashes(take(x, found))]).bool()
    return found


def _glimpses(x: Tensor) -> Iterator[bytes]:
    """The numbers in the middle of each sample; of samples on disk nothing else is read."""
    middle = x.shape[1:].numel() // 2
    if isinstance(x, Tensor):
        some = x.detach().flatten(1)[:, middle : middle + GLIMPSE].cpu()
    else:
        some = x.glimpses(middle, middle + GLIMPSE)
    return (row.tobytes() for row in some.numpy())


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
