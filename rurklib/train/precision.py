"""In which numbers, and in which layout, a net is trained.

``"float32"`` is what the model says, nothing is cast. ``"bfloat16"`` casts what goes into
convolutions and matrix products (torch.autocast); weights, their gradients, BatchNorm, the loss and
the optimiser stay in float32, so nothing needs scaling. ``"auto"`` is bfloat16 on a GPU that has it
and float32 elsewhere.

Channels-last goes with bfloat16, on either device. With float32 it must be asked for: sums are then
taken in another order, and results that were there before would change in their last digits. What
either wins on a CPU stands in README.md; neither was tried on a GPU.
"""

import contextlib
from typing import Literal

import torch
from torch import Tensor, nn

Precision = Literal["float32", "bfloat16", "auto"]


def resolved(precision: Precision, device: torch.device) -> Precision:
    """What ``precision`` means on a device: "float32" or "bfloat16"."""
    if precision == "auto":
        able = device.type == "cuda" and torch.cuda.is_bf16_supported()
        return "bfloat16" if able else "float32"
    return precision


def casting(precision: str, device: torch.device) -> contextlib.AbstractContextManager:
    """The block in which a forward pass is computed in a resolved precision."""
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def lay_out(model: nn.Module, channels_last: bool) -> None:
    """Lay a model's 4-d weights out in place, channels last or first; numbers stay the same."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model.to(memory_format=layout)  # type: ignore[call-overload]


def laid_out(x: Tensor, channels_last: bool) -> Tensor:
    """A batch in the layout of the weights."""
    if not channels_last or x.ndim != 4:
        return x
    return x.contiguous(memory_format=torch.channels_last)
