"""Random streams named by whole numbers; the global random state is the caller's."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Run a block on its own global random state (weight initialisation, dropout); restore it."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(mixed_seed(seed))
        yield


def mixed_seed(*seeds: int) -> int:
    """One 63-bit seed, well mixed, from several whole numbers, e.g. (seed, block, draw).

    A hash of the numbers as written, so (3,), (3, 0) and (0, 3) name three streams: sums of seeds
    collide, and NumPy's SeedSequence takes trailing zeros for nothing.
    """
    name = ",".join(map(str, seeds))
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1


def generator(*seeds: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator of its own for a stream named by whole numbers; the global one isn't touched."""
    return torch.Generator(device=device).manual_seed(mixed_seed(*seeds))
