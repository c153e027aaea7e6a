"""Wrong labels, drawn alike: what relabelling methods and a variant of RURK teach."""

from __future__ import annotations

import torch
from torch import Tensor


def wrong_labels(y: Tensor, classes: int, generator: torch.Generator) -> Tensor:
    """A label other than ``y`` in 0 ... ``classes`` - 1 for each sample, all wrong labels equally
    likely. ``y`` is int64 [n]; ``generator`` is on its device."""
    shift = torch.randint(1, classes, y.shape, generator=generator, device=y.device)
    return (y + shift) % classes
