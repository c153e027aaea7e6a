"""In which numbers, and in which layout, a net is trained.

``"float32"`` is what the model says, nothing is cast. ``"bfloat16"`` casts what goes into
convolutions and matrix products (torch.autocast); weights, their gradients, BatchNorm, the loss and
the optimiser stay in float32, so nothing needs scaling. ``"auto"`` is bfloat16 where PyTorch says
that the device has it, a GPU or a processor (AMX or AVX-512 with bfloat16), and float32 elsewhere.

Channels-last goes with bfloat16, on either device. With float32 it must be asked for: sums are then
taken in another order, and results that were there before would change in their last digits. What
either wins on a CPU stands in README.md; neither was tried on a GPU.
"""

import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from rurklib.checks import InputError

Precision = Literal["float32", "bfloat16", "auto"]


def resolved(precision: Precision, device: torch.device) -> Precision:
    """What ``precision`` means on a device: "float32" or "bfloat16"."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    return "bfloat16" if device.type == "cpu" and processor_has_bfloat16() else "float32"


def processor_has_bfloat16() -> bool:
    """Whether PyTorch says that this processor multiplies in bfloat16. It says so by functions that
    are not part of its promised interface: without them, no."""
    asked = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, name, bool)() for name in asked)


@contextmanager
def computing(
    model: nn.Module, precision: Precision, channels_last: bool | None = None
) -> Iterator[None]:
    """Inside the block ``model``, and whatever is copied from it, computes in ``precision``.

    Its logits are float32 all the same, so that losses are. ``channels_last``: the layout of images
    and 4-d weights (None: with bfloat16). A block in such a block changes nothing. Raises
    InputError for a model whose ``forward`` is an attribute of its own, as hooks of some libraries
    make it: there is no telling what a copy of it would ask.
    """
    device = next(model.parameters()).device
    half = resolved(precision, device) == "bfloat16"
    last = half if channels_last is None else channels_last
    if not (half or last) or casts(model):
        yield
        return
    if "forward" in vars(model):
        raise InputError(
            f"precision = {precision!r}: this {type(model).__name__}'s forward was replaced on the "
            'object itself; expected that of its class: use precision="float32"'
        )
    layouts = [(p, p.data.stride()) for p in model.parameters()]
    if last:
        model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self: nn.Module, x: Tensor) -> Tensor:
        if last and x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            logits = type(self).forward(self, x)
        return logits.float() if half else logits

    forward.casts = True  # type: ignore[attr-defined]
    # A bound method: a deep copy of the model is given one of its own.
    model.forward = types.MethodType(forward, model)  # type: ignore[method-assign]
    try:
        yield
    finally:
        plain(model)
        for p, stride in layouts:
            if p.data.stride() != stride:
                p.data = torch.empty_strided(p.shape, stride, dtype=p.dtype, device=device).copy_(p)


def casts(model: nn.Module) -> bool:
    """Whether :func:`computing` changed its forward, or that of what it was copied from."""
    return hasattr(vars(model).get("forward"), "casts")


def plain(model: nn.Module) -> None:
    """Let a model, or a copy made in a block of :func:`computing`, compute as its class says."""
    if casts(model):
        del model.forward
