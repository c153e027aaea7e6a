"""Samples that stay on disk: a ``.npy`` file of bytes, seen through an index.

A :class:`Rows` stands wherever a tensor of samples does: it has its length, shape, dtype and
device, and ``x[index]``, ``x[:8]`` and ``x.split(size)`` give tensors of those samples and read no
others. So whatever works in batches works on it, and holds a batch; what needs all samples at once
raises InputError. Type hints say Tensor for both.

A sample is read, not mapped: around what is touched of a mapped file the system maps up to some
megabytes more, all of which counts as memory of this process, and opening a map for a few samples
at a time takes three times as long.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import Any, NoReturn, cast

import numpy as np
import torch
from torch import Tensor

from rurklib.checks import InputError
from rurklib.perturb.noise import gaussian
from rurklib.rng import generator
from rurklib.samples import Bounds, Pair, as_float

IN_MEMORY = 512 * 2**20  # bytes; samples that are no more than this are read into a tensor
SHARE = 0.25  # of a GPU's free memory: a part of a split is a copy, and training needs the rest


class Rows:
    """The samples of ``file``, uint8 [n, ...], in the file's order until some are taken.

    ``index`` holds the places in the file. ``device`` is where samples go when they are read; the
    rest stays on disk. Pickled as the file's name and the index. Raises InputError for a file that
    holds something else.
    """

    dtype = torch.uint8

    def __init__(self, file: str | Path) -> None:
        self.file = Path(file).resolve()
        try:
            stored = np.load(self.file, mmap_mode="r", allow_pickle=False)
            if stored.dtype != np.uint8 or stored.ndim < 2 or not stored.flags.c_contiguous:
                raise ValueError(f"it holds {stored.dtype} {stored.shape}")
        except (OSError, ValueError, AttributeError, EOFError) as error:
            raise InputError(
                f"{file} is not a whole .npy file of samples, uint8 [n, ...] ({error}): delete it "
                "to have it made again"
            ) from error
        self.start = stored.offset  # of the first sample in the file
        self.sample: tuple[int, ...] = stored.shape[1:]
        self.index = torch.arange(len(stored))
        self.device = torch.device("cpu")

    def __len__(self) -> int:
        return len(self.index)

    @property
    def shape(self) -> torch.Size:
        return torch.Size((len(self), *self.sample))

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        return self.shape.numel() * self.dtype.itemsize

    def is_floating_point(self) -> bool:
        return self.dtype.is_floating_point

    def __getitem__(self, index: Any) -> Tensor:
        """Copies of some samples: ``index`` is a number, a slice, int64 numbers or a bool mask."""
        places = self._places(index)
        return self.read(places.flatten()).view(*places.shape, *self.sample).to(self.device)

    def take(self, index: Any) -> Tensor:
        """Some of the samples: a tensor if they are few (``IN_MEMORY``), else rows, unread."""
        return in_memory_if_small(self._with(index=self._places(index)))

    def split(self, size: int) -> Iterator[Tensor]:
        """The samples in order, ``size`` at a time."""
        return (self[at : at + size] for at in range(0, len(self), size))

    def to(self, device: torch.device | str) -> Tensor | Rows:
        """On a GPU with room for them the samples themselves; else the same rows, which go to
        ``device`` as they are read."""
        if isinstance(device, torch.dtype):  # what samples.as_float asks of all samples at once
            self._refuse(f"their conversion to {device}")
        place = torch.device(device)
        if place.type != "cuda" or self.nbytes > SHARE * torch.cuda.mem_get_info(place)[0]:
            return self._with(device=place)
        whole = torch.empty(self.shape, dtype=self.dtype, device=place)
        for part, piece in zip(whole.split(1024), self.split(1024), strict=True):
            part.copy_(piece)
        return whole

    def glimpses(self, a: int, b: int) -> Tensor:
        """The bytes a ... b - 1 of each sample [n, b - a], on the CPU, without reading the rest."""
        return self._bytes(self.index, a, min(b, math.prod(self.sample)))

    def read(self, places: Tensor) -> Tensor:
        """The samples at these places of the file [n, ...], on the CPU."""
        return self._bytes(places, 0, math.prod(self.sample)).view(len(places), *self.sample)

    def _bytes(self, places: Tensor, a: int, b: int) -> Tensor:
        out, each = np.empty((len(places), b - a), np.uint8), math.prod(self.sample)
        with open(self.file, "rb", buffering=0) as stored:
            for row, place in zip(out, places.tolist(), strict=True):
                stored.seek(self.start + place * each + a)
                if stored.readinto(row.data) != b - a:
                    raise InputError(f"{self.file} was cut off while it was used: run it again")
        return torch.from_numpy(out)

    @classmethod
    def __torch_function__(cls, function: Any, *_: Any, **__: Any) -> NoReturn:
        cls._refuse(f"torch.{getattr(function, '__name__', function)}")

    @staticmethod
    def _refuse(what: str) -> NoReturn:
        raise InputError(
            f"the samples are on disk, and {what} needs them all in memory at once: leave out what "
            "asks for it, take fewer samples or smaller images, or use a GPU with room for them"
        )

    def _places(self, index: Any) -> Tensor:
        return self.index[index.cpu() if isinstance(index, Tensor) else index]

    def _with(self, **attributes: Any) -> Rows:
        other = copy(self)
        other.__dict__.update(attributes)
        return other


def in_memory_if_small(rows: Rows) -> Tensor:
    """The samples as a tensor if they are few (``IN_MEMORY``), else as they are."""
    return rows[:] if rows.nbytes <= IN_MEMORY else cast(Tensor, rows)


class NoisyRows(Rows):
    """Samples, then Gaussian copies of them, none of which is there until it is read."""

    def __init__(self, x: Tensor, tau: float, copies: int, seed: int, bounds: Bounds) -> None:
        self.x, self.tau, self.seed, self.bounds = x, tau, seed, bounds
        self.sample, self.device = tuple(x.shape[1:]), x.device
        self.dtype = x.dtype if x.is_floating_point() else torch.get_default_dtype()
        self.index = torch.arange(len(x) * (1 + copies))

    def read(self, places: Tensor) -> Tensor:
        n = len(self.x)
        x = as_float(self.x[(places % n).to(self.x.device)])
        for at, place in enumerate(places.tolist()):
            if place >= n:  # copy 1, 2, ... of a sample
                stream = generator(self.seed, 0, 0, *divmod(place - n, n), device=x.device)
                x[at] = gaussian(x[at, None], self.tau, generator=stream, bounds=self.bounds)[0]
        return x


def noisy_rows(
    x: Tensor, y: Tensor, tau: float, *, copies: int, seed: int = 0, bounds: Bounds = (0.0, 1.0)
) -> Pair:
    """As :func:`rurklib.residual.noisy_copies`, for samples on disk, or so many that their copies
    had better not be in memory together: x comes back as rows that are made as they are read, with
    a random stream for each copy of a sample."""
    return cast(Tensor, NoisyRows(x, tau, copies, seed, bounds)), y.repeat(1 + copies)
