"""float32 that is float32: newer GPUs convolve with ten bits of it, unless they are told not to.

TensorFloat-32 is PyTorch's default in cuDNN. Answers on copies near a border would depend on it,
and a net whose BatchNorms are folded would look like another one, so that no fast form would pass
its trial (found by rounding to ten bits on a CPU, which a test does; not run on a GPU).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def whole_float32() -> Iterator[None]:
    """Convolutions of float32 are in float32 inside the block; then as they were."""
    place: Any = torch.backends.cudnn
    switch: tuple[str, Any] = ("allow_tf32", False)
    try:
        before = place.allow_tf32
    except RuntimeError:  # who has set PyTorch 2.9's finer switches may not ask the old one
        place, switch = place.conv, ("fp32_precision", "ieee")
        before = place.fp32_precision
    setattr(place, *switch)
    try:
        yield
    finally:
        setattr(place, switch[0], before)
