"""The larger nets: as many weights as their authors count, and what each layer does to an image."""

import pytest
import torch
import torchvision.models as tv
from torch import nn

from rurklib.models import build
from rurklib.residual.inference import accelerate
from rurklib.unlearn.layers import last_layers, layers


def weights(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(
    ("name", "classes", "count"),
    [
        ("resnet50", 1000, 25_557_032),  # torchvision's documentation
        ("resnet18-imagenet", 1000, 11_689_512),  # torchvision's documentation
        ("resnet9", 10, 6_568_640 + 4_480),  # FetchSGD (2020) counts it without BatchNorm, which is
        # two numbers for each of 64 + 3 * 128 + 256 + 3 * 512 channels
    ],
)
def test_as_many_weights_as_published(name, classes, count):
    assert weights(build(name, 3, classes, seed=0)) == count


@pytest.mark.parametrize(("name", "theirs"), [("resnet50", tv.resnet50),
                                              ("resnet18-imagenet", tv.resnet18)])  # fmt: skip
def test_the_imagenet_nets_are_torchvisions(name, theirs, rng):
    """With the same weights the same logits. Fails if the small images' stem is put in."""
    net, other = build(name, 3, 5, seed=1), theirs(weights=None, num_classes=5).eval()
    other.load_state_dict(net.net.state_dict())
    x = torch.rand(2, 3, 64, 64, generator=rng(0))
    with torch.no_grad():
        torch.testing.assert_close(net(x), other((x - 0.5) / 0.25))


def test_resnet9_is_pages_net(rng):
    """Written out by hand: prep, three layers that halve, two residual blocks, pooling over what is
    left, and logits / 8. Fails if a block doesn't add its input, a layer doesn't halve, or the
    scale is lost."""
    net = build("resnet9", 3, 10, seed=0)
    g = rng(1)
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.running_mean.uniform_(-0.1, 0.1, generator=g)
            m.weight.data.uniform_(0.5, 1.5, generator=g)
    convs = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    shapes = [(3, 64), (64, 128), (128, 128), (128, 128), (128, 256), (256, 512), (512, 512),
              (512, 512)]  # fmt: skip
    assert [(c.in_channels, c.out_channels) for c in convs] == shapes
    assert all(c.kernel_size == (3, 3) and c.bias is None for c in convs)
    conv = [lambda x, c=c, n=n: n(c(x)).relu() for c, n in zip(convs, norms, strict=True)]
    pool = nn.functional.max_pool2d
    x = torch.rand(2, 3, 32, 32, generator=g)
    with torch.no_grad():
        z = conv[0]((x - 0.5) / 0.25)
        z = pool(conv[1](z), 2)
        z = z + conv[3](conv[2](z))
        z = pool(conv[4](z), 2)
        z = pool(conv[5](z), 2)
        z = z + conv[7](conv[6](z))
        assert z.shape == (2, 512, 4, 4)
        head = next(m for m in net.modules() if isinstance(m, nn.Linear))
        torch.testing.assert_close(net(x), z.amax((2, 3)) @ head.weight.T / 8)


@pytest.mark.parametrize(
    ("name", "count", "k", "first"),
    [
        ("resnet9", 9, None, "net.12"),  # half of nine: the last block's two, one before, the head
        ("resnet18-imagenet", 18, None, "net.layer4.0.conv1"),
        ("resnet50", 50, 7, "net.layer4.1.conv1"),  # what the scenario imagenet100 asks for
    ],
)
def test_the_last_layers_are_the_last_blocks_and_the_head(name, count, k, first):
    """EU-k and CF-k find them. Fails if a block is cut in two, or a module without weights (the
    scale of the logits) counts as a layer."""
    net = build(name, 3, 10, seed=0)
    names = {id(m): n for n, m in net.named_modules()}
    assert len(layers(net)) == count
    found = [names[id(m)] for m in last_layers(net, k)]
    assert found[0] == first
    assert isinstance(net.get_submodule(found[-1]), nn.Linear)


@pytest.mark.parametrize("name", ["resnet9", "resnet18-imagenet"])
def test_they_have_a_fast_form(name, rng):
    """Fails if tracing stops at a module of ours: BatchNorm then stays unfolded."""
    form = accelerate(build(name, 3, 10, seed=0), torch.rand(4, 3, 32, 32, generator=rng(0)))
    assert form.reason == ""
    assert not any(isinstance(m, nn.BatchNorm2d) for m in form.call.modules())
