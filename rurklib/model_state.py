"""What belongs to the caller is left as found: modes and buffers of a model; is a model sound?

A measurement that moves BatchNorm statistics changes results far away from itself.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


def finite(model: nn.Module) -> bool:
    """Whether every weight is a number: the argmax of NaNs is class 0, which may even be right."""
    return all(bool(p.isfinite().all()) for p in model.state_dict().values())


@contextmanager
def evaluating(*models: nn.Module) -> Iterator[None]:
    """Put models in eval mode inside the block; give every submodule its own mode back after.

    A blanket ``model.train()`` afterwards would unfreeze layers that the user had put in eval
    mode, so each module's flag is remembered on its own.
    """
    modes = [(module, module.training) for model in models for module in model.modules()]
    try:
        for model in models:
            model.eval()
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@dataclass
class Watch:
    """Names of the models that came in train mode, and of those whose buffers moved."""

    training: list[str]
    changed: list[str] = field(default_factory=list)


@contextmanager
def recording_state(models: Mapping[str, nn.Module]) -> Iterator[Watch]:
    """Look at models before and after a block; buffers that the block moved are put back."""
    watch = Watch([name for name, model in models.items() if _training(model)])
    before = [
        (name, part, key, buffer, buffer.clone())
        for name, model in models.items()
        for part in model.modules()
        for key, buffer in part._buffers.items()
        if buffer is not None
    ]
    try:
        yield watch
    finally:
        moved = [b for b in before if not _same(b[1]._buffers[b[2]], b[4])]
        watch.changed += dict.fromkeys(b[0] for b in moved)  # each name once
        for _, part, key, buffer, old in moved:
            with torch.no_grad():
                buffer.copy_(old)
            part._buffers[key] = buffer


def _training(model: nn.Module) -> bool:
    """Whether a layer is in train mode. What merely holds layers has no mode that matters: a class
    around a net in eval mode is new, so in train mode, and normalises all the same."""
    return any(part.training for part in model.modules() if not [*part.children()])


def _same(a: Tensor | None, b: Tensor) -> bool:
    return a is not None and a.shape == b.shape and bool(((a == b) | ((a != a) & (b != b))).all())
