"""float32 that is float32: newer GPUs convolve with ten bits of it, unless they are told not to.

TensorFloat-32 is PyTorch's default in cuDNN. Answers on copies near a border would depend on it,
and a net whose BatchNorms are folded would look like another one, so that no fast form would pass
its trial (found by rounding to ten bits on a CPU, which a test does; not run on a GPU).
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import torch


@contextmanager
def whole_float32() -> Iterator[None]:
    """Convolutions and matrix products of float32 are in float32 inside the block; then as they
    were."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul

    def switched(place: Any, name: str, value: Any) -> None:
        before = getattr(place, name)
        if before != value:
            setattr(place, name, value)
            after.callback(setattr, place, name, before)

    with ExitStack() as after:
        # PyTorch 2.9 has finer switches, and refuses to tell the older ones if both were used.
        for older, newer in ((cudnn, getattr(cudnn, "conv", None)), (matmul, matmul)):
            with suppress(RuntimeError):
                switched(older, "allow_tf32", False)
            if getattr(newer, "fp32_precision", "") == "tf32":
                switched(newer, "fp32_precision", "ieee")
        yield
