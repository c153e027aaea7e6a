"""Classifiers of inputs in [0, 1] (or without bounds) into logits; normalisation lives inside.

``MODELS`` maps a name to a builder ``(channels, classes) -> nn.Module``. :func:`build` makes one
from a seed, without touching the global random state, in eval mode.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rurklib import checks, tensors
from rurklib.tensors import seeded


def mlp(features: int, classes: int, width: int = 100) -> nn.Module:
    """One hidden layer of ``width`` ReLUs on ``features`` numbers, as in the paper's Fig. 1."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(features, width), nn.ReLU(), nn.Linear(width, classes)
    )


class TextCNN(nn.Module):
    """Convolutions over one, two and three neighbouring words, each at its strongest place in the
    text, and a linear head (Kim 2014, arXiv 1408.5882, with vectors that a 1x1 convolution makes
    of a word's ``channels`` numbers).

    9 thousand weights at 64 channels; a window that holds no word counts as one with zeros.
    """

    def __init__(self, channels: int, classes: int, width: int = 32) -> None:
        super().__init__()
        self.words = nn.Conv1d(channels, width, 1, bias=False)
        self.grams = nn.ModuleList(nn.Conv1d(width, width, k, padding=k - 1) for k in (1, 2, 3))
        self.norm = nn.BatchNorm1d(3 * width)
        self.head = nn.Linear(3 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        words = self.words(x)
        found = torch.cat([F.relu(gram(words)).amax(2) for gram in self.grams], 1)
        return self.head(self.norm(found))


def small_cnn(channels: int, classes: int, width: int = 16, stride: int = 1) -> nn.Module:
    """Five 3x3 convolutions with BatchNorm (w, w, 2w, 2w, 4w) and a linear head on 2x2 cells.

    38 thousand weights at ``width`` 16; trains on 900 images of 8x8 in seconds on one core.
    ``stride`` of the first convolution: at ``width`` 32 and 2 (142 thousand weights) the same
    holds for 1,000 images of 32x32, and it learns them by heart in 15 epochs.
    """

    def conv(a: int, b: int, stride: int = 1) -> list[nn.Module]:
        layer = nn.Conv2d(a, b, 3, stride=stride, padding=1, bias=False)
        return [layer, nn.BatchNorm2d(b), nn.ReLU()]

    w = width
    layers = [*conv(channels, w, stride), *conv(w, w), nn.MaxPool2d(2)]
    layers += [*conv(w, 2 * w), *conv(2 * w, 2 * w), nn.MaxPool2d(2)]
    layers += [*conv(2 * w, 4 * w), nn.AdaptiveAvgPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * w, classes))


def fast_cnn(
    channels: int, classes: int, widths: tuple[int, int, int] = (32, 64, 128)
) -> nn.Module:
    """For 50,000 images of 32x32 on a CPU: 2x2 patches seen by 24 filters, then three blocks of two
    3x3 convolutions, BatchNorm and GELU, each block halved by max-pooling before its first
    BatchNorm; the maximum over what is left, and a linear head. 295 thousand weights.

    The plan is K. Jordan's (arXiv 2404.00498), narrower, and so is the start: the first filters of
    a 3x3 convolution hand their input on (Dirac). Its whitening is left out: fitted on training
    images, it would carry the forget set into the re-trained models. Weights lie channels last,
    which on a CPU is 1.5 times as fast in float32; what is computed is the same.
    """

    def conv(a: int, b: int, *pool: nn.Module) -> list[nn.Module]:
        layer = nn.Conv2d(a, b, 3, padding=1, bias=False)
        nn.init.dirac_(layer.weight[: min(a, b)])
        return [layer, *pool, nn.BatchNorm2d(b), nn.GELU()]

    first = 24
    layers: list[nn.Module] = [nn.Conv2d(channels, first, 2), nn.GELU()]
    for a, b in zip((first, *widths), widths, strict=False):
        layers += [*conv(a, b, nn.MaxPool2d(2)), *conv(b, b)]
    net = nn.Sequential(
        *layers, nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(widths[-1], classes)
    )
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def vgg11(channels: int, classes: int, width: int = 64) -> nn.Module:
    """torchvision's VGG-11 (with BatchNorm) with one linear layer as head, the usual CIFAR form.

    Its own head has 120 million weights for 224x224 images; at 32x32 the features are [512, 1, 1].
    ``width`` of the first convolution: at 16 all layers are a quarter as wide, for a CPU.
    """
    from torchvision.models import vgg  # it takes a second, and only large nets need it

    wide = [c if isinstance(c, str) else c * width // 64 for c in vgg.cfgs["A"]]
    net = vgg.VGG(vgg.make_layers(wide, batch_norm=True), num_classes=classes)
    if channels != 3:
        net.features[0] = nn.Conv2d(channels, width, 3, padding=1)
    net.avgpool = nn.AdaptiveAvgPool2d(1)
    net.classifier = nn.Sequential(nn.Linear(8 * width, classes))
    return net


def resnet(channels: int, classes: int, name: str, small: bool = False) -> nn.Module:
    """torchvision's net of this ``name`` without weights, for images of 64 pixels and more.

    ``small``: the CIFAR stem, a 3x3 convolution of stride 1 and no max-pooling. The ImageNet stem
    would shrink a 32x32 image to 8x8 before the first block.
    """
    from torchvision.models import get_model

    net: Any = get_model(name, weights=None, num_classes=classes)
    if small or channels != 3:
        size, stride = (3, 1) if small else (7, 2)
        net.conv1 = nn.Conv2d(channels, 64, size, stride, padding=size // 2, bias=False)
        nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
    if small:
        net.maxpool = nn.Identity()
    return net


MODELS: dict[str, Callable[[int, int], nn.Module]] = {
    "mlp": mlp,
    "text-cnn": TextCNN,
    "small-cnn": small_cnn,
    "small-cnn-narrow": partial(small_cnn, width=8),
    "small-cnn-wide": partial(small_cnn, width=32),
    "small-cnn-32": partial(small_cnn, width=32, stride=2),
    "fast-cnn": fast_cnn,
    "resnet18": partial(resnet, name="resnet18", small=True),
    "resnet18-imagenet": partial(resnet, name="resnet18"),
    "resnet50": partial(resnet, name="resnet50"),
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
