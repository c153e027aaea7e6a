"""ResNets: torchvision's for small and for large images, and a ResNet-9 that trains in minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:  # importing it takes a second, and only these nets need it
    import torchvision.models as tv


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
