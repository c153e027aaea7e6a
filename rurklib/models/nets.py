"""The nets that are no ResNets: one hidden layer for a few numbers, convolutions over the words of
a text, a small BatchNorm CNN for small images, a fast one and VGG-11 for 32x32."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


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
