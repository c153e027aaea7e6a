"""The nets: one hidden layer for a few numbers, convolutions over the words of a text, a small
BatchNorm CNN for small images, a fast one and VGG-11 for 32x32; torchvision's ResNets for small and
for large images, and a ResNet-9 that trains in minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:  # importing it takes a second, and only ResNets need it
    import torchvision.models as tv


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
    return nn.Sequential(
        *conv(channels, w, stride), *conv(w, w), nn.MaxPool2d(2),
        *conv(w, 2 * w), *conv(2 * w, 2 * w), nn.MaxPool2d(2),
        *conv(2 * w, 4 * w), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(16 * w, classes),
    )  # fmt: skip


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


LOGIT_SCALE = 0.125  # keeps the first logits small: at a high learning rate they saturate otherwise


def resnet18(channels: int, classes: int) -> nn.Module:
    """torchvision's ResNet-18 with the CIFAR stem: a 3x3 convolution, stride 1, no max-pooling.

    The ImageNet stem would shrink a 32x32 image to 8x8 before the first block.
    """
    import torchvision.models as tv

    net = tv.resnet18(weights=None, num_classes=classes)
    net.conv1 = nn.Conv2d(channels, 64, 3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
    net.maxpool = nn.Identity()  # type: ignore[assignment]
    return net


def resnet18_imagenet(channels: int, classes: int) -> nn.Module:
    """torchvision's ResNet-18 as it is, with the ImageNet stem, for images of 64 pixels and more:
    11.7 million weights with 1,000 classes."""
    import torchvision.models as tv

    return _with_channels(tv.resnet18(weights=None, num_classes=classes), channels)


def resnet50(channels: int, classes: int) -> nn.Module:
    """torchvision's ResNet-50 as it is, with the ImageNet stem: 25.6 million weights with 1,000
    classes."""
    import torchvision.models as tv

    return _with_channels(tv.resnet50(weights=None, num_classes=classes), channels)


class Residual(nn.Sequential):
    """``x + layers(x)``."""

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


class Scale(nn.Module):
    """``factor * x``, nothing to learn."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


def resnet9(channels: int, classes: int) -> nn.Module:
    """D. Page's ResNet-9 for 32x32 (DAWNBench, "How to train your ResNet", 2018).

    Eight 3x3 convolutions with BatchNorm and ReLU (64; 128 and a block of two; 256; 512 and a block
    of two), halved by max-pooling four times, the last over all that is left; a linear layer
    without bias, and logits times 0.125. 6.57 million weights, a third of ResNet-18's work. Its
    initial weights are PyTorch's own.
    """

    def conv(a: int, b: int, *after: nn.Module) -> list[nn.Module]:
        layer = nn.Conv2d(a, b, 3, padding=1, bias=False)
        return [layer, nn.BatchNorm2d(b), nn.ReLU(), *after]

    def block(a: int) -> Residual:
        return Residual(*conv(a, a), *conv(a, a))

    return nn.Sequential(
        *conv(channels, 64),
        *conv(64, 128, nn.MaxPool2d(2)), block(128),
        *conv(128, 256, nn.MaxPool2d(2)),
        *conv(256, 512, nn.MaxPool2d(2)), block(512),
        nn.AdaptiveMaxPool2d(1), nn.Flatten(),
        nn.Linear(512, classes, bias=False), Scale(LOGIT_SCALE),
    )  # fmt: skip


def _with_channels(net: tv.ResNet, channels: int) -> tv.ResNet:
    """Images of other than three channels, by a first convolution drawn as torchvision does."""
    if channels != 3:
        net.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
        nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
    return net
