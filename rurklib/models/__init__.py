"""Classifiers of inputs in [0, 1] (or without bounds) into logits; normalisation lives inside.

``MODELS`` maps a name to a builder ``(channels, classes) -> nn.Module``. :func:`build` makes one
from a seed, without touching the global random state, in eval mode.
"""

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from rurklib import checks, tensors
from rurklib.models.nets import (
    TextCNN,
    fast_cnn,
    mlp,
    resnet9,
    resnet18,
    resnet18_imagenet,
    resnet50,
    small_cnn,
    vgg11,
)
from rurklib.tensors import seeded

MODELS: dict[str, Callable[[int, int], nn.Module]] = {
    "mlp": mlp,
    "text-cnn": TextCNN,
    "small-cnn": small_cnn,
    "small-cnn-narrow": partial(small_cnn, width=8),
    "small-cnn-wide": partial(small_cnn, width=32),
    "small-cnn-32": partial(small_cnn, width=32, stride=2),
    "fast-cnn": fast_cnn,
    "resnet9": resnet9,
    "resnet18": resnet18,
    "resnet18-imagenet": resnet18_imagenet,
    "resnet50": resnet50,
    "vgg11": vgg11,
    "vgg11-narrow": partial(vgg11, width=16),
}

# Constants, not statistics of the training images: a statistic that has seen the forget samples
# would carry them into the re-trained references.
MEAN, STD = 0.5, 0.25


class Normalized(nn.Module):
    """``net((x - mean) / std)``: perturbations act on pixels, so their size means the same
    for every model."""

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, mean: float = MEAN, std: float = STD) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def forward(self, x: Tensor) -> Tensor:
        return self.net((x - self.mean) / self.std)


def build(
    name: str, channels: int, classes: int, *, seed: int, bounds: tensors.Bounds = (0.0, 1.0)
) -> nn.Module:
    """Build the model ``name`` with weights initialised from ``seed``, in eval mode.

    The model takes float inputs [n, channels, height, width] in [0, 1] (an "mlp": [n, channels],
    each channel a number; a "text-cnn": [n, channels, length]) and returns logits [n, classes].
    Inputs without ``bounds`` are taken as they are, centred and scaled by the data. Raises
    InputError for an unknown name.
    """
    builder = MODELS[checks.one_of("model", name, MODELS)]
    with seeded(seed):
        mean, std = (0.0, 1.0) if bounds is None else (MEAN, STD)
        return Normalized(builder(channels, classes), mean, std).eval()


def transfer(model: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
    """Copy into ``model`` the state of another net of its build, BatchNorm's statistics included,
    but for the head: the last linear layer, which keeps its own weights and number of classes.

    Raises RuntimeError (PyTorch's) if the rest doesn't fit.
    """
    head = [name for name, m in model.named_modules() if isinstance(m, nn.Linear)][-1]
    own = {k: v for k, v in model.state_dict().items() if k.startswith(f"{head}.")}
    model.load_state_dict({**weights, **own})
    return model


__all__ = ["MODELS", "Normalized", "build", "transfer"]
