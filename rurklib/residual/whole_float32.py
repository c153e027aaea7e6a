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
    cudnn: Any = torch.backends.cudnn
    place, name, whole = (
        (cudnn.conv, "fp32_precision", "ieee")  # PyTorch 2.9 and newer, which mixes with no other
        if hasattr(cudnn, "conv")
        else (cudnn, "allow_tf32", False)
    )
    before = getattr(place, name)
    setattr(place, name, whole)
    try:
        yield
    finally:
        setattr(place, name, before)
