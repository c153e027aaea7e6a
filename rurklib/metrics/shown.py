"""A model's logits on many samples, a batch at a time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rurklib import check
from rurklib.guard import evaluating

# Numbers in the inputs of a batch: 1,000 images of CIFAR-10, 20 of 224 pixels. What a net makes of
# them grows alike, and ResNet-50 would take ten gigabytes for 1,000 of the latter.
MOST = 1000 * 3 * 32 * 32


def logits(model: nn.Module, x: Tensor) -> Tensor:
    """Logits [n, classes] in eval mode, without gradients; the model is left as found.

    x [n, ...] uint8 or float, on the model's device or on disk.
    """
    size = min(1000, max(1, MOST // x.shape[1:].numel()))
    with evaluating(model), torch.inference_mode():
        return torch.cat([model(check.as_float(xb)) for xb in x.split(size)])
