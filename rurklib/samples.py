"""Input that can't be used is named before any work starts.

Every check raises :class:`InputError` with one line that says three things: the value that was
given, what was expected, and how to mend it. The command line turns it into exit code 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

Bounds = tuple[float, float] | None


PIECE = 16 * 2**20  # bytes of stored samples that are looked at together


GLANCE = 1024  # numbers by which samples are told apart before all of them are looked at


@runtime_checkable
class Stored(Protocol):
    """Samples on disk, which stand where a tensor of samples may: ``rurklib.data.rows.Rows``."""

    @property
    def shape(self) -> torch.Size: ...
    def columns(self, start: int, stop: int) -> Iterator[Tensor]: ...
    def take(self, index: Any) -> Any: ...


def copies(x: Tensor, of: Tensor) -> Tensor:
    """Which samples of ``x`` stand in ``of`` too, byte for byte: bool [len(x)] on the CPU.

    Only those whose middles agree are compared whole, by a hash: most of what is on disk needn't be
    read. What is remembered is a few numbers for each sample of ``of``.
    """
    middle = max((x[:1].numel() - GLANCE) // 2, 0)
    known = {hash(row.tobytes()) for row in _columns(of, middle)}
    alike = [i for i, row in enumerate(_columns(x, middle)) if hash(row.tobytes()) in known]
    found = torch.zeros(len(x), dtype=torch.bool)
    if alike:
        wanted, maybe = set(hashes(of)), torch.tensor(alike)
        same = x.take(maybe) if isinstance(x, Stored) else x[maybe.to(x.device)]
        found[maybe] = torch.tensor([own in wanted for own in hashes(same)])
    return found


def hashes(x: Tensor) -> Iterator[bytes]:
    """A hash of each sample's bytes, 16 bytes long."""
    for piece in pieces(x):
        for row in piece.numpy():
            yield blake2b(row.tobytes(), digest_size=16).digest()


def pieces(x: Tensor) -> Iterator[Tensor]:
    """All of ``x`` in order, contiguous and on the CPU: a tensor whole, stored samples some at a
    time, so that they never are in memory together."""
    if isinstance(x, Stored):
        size = max(1, PIECE // max(1, x[:1].nbytes))
        yield from (piece.cpu() for piece in x.split(size))
    else:
        yield x.detach().cpu().contiguous()


def _columns(x: Tensor, middle: int) -> Iterator[np.ndarray]:
    """A few numbers of each sample, from ``middle`` on."""
    if isinstance(x, Stored):
        for piece in x.columns(middle, middle + GLANCE):
            yield from piece.numpy()
    else:
        yield from x.detach().flatten(1)[:, middle : middle + GLANCE].cpu().contiguous().numpy()


def as_float(x: Tensor) -> Tensor:
    """Inputs as the model takes them: uint8 images become x / 255 in [0, 1], floats stay."""
    return x.to(torch.get_default_dtype()).div_(255) if x.dtype == torch.uint8 else x
