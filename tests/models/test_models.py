"""The nets: shapes, seeds, what a name builds, and what their logits say."""

import pytest
import torch
from torch import nn

from rurklib import tensors
from rurklib.models import Normalized, build, transfer
from rurklib.unlearn.layers import last_layers, layers


@pytest.mark.parametrize(
    ("name", "channels", "sizes"),
    [
        ("small-cnn", 1, (8, 28)),
        ("small-cnn-32", 3, (8, 28, 32, 64)),
        ("resnet18", 1, (32,)),
        ("vgg11", 1, (32,)),
        ("resnet50", 1, (33,)),
        ("resnet18-imagenet", 1, (33,)),
    ],
)
def test_nets_take_images_of_these_sizes_and_channels(name, channels, sizes):
    net = build(name, channels, 7, seed=0)
    for size in sizes:
        assert net(torch.rand(2, channels, size, size)).shape == (2, 7)


def test_resnet_keeps_the_resolution_of_small_images():
    """Fails if the ImageNet stem is left: 32x32 would be 8x8 before the first block."""
    net = build("resnet18", 3, 5, seed=0).net
    stem = net.maxpool(net.relu(net.bn1(net.conv1(torch.rand(1, 3, 32, 32)))))
    assert stem.shape == (1, 64, 32, 32)


def test_the_mlp_is_one_hidden_layer_of_a_hundred():
    """4 -> 100 -> 3 with biases: 400 + 100 + 300 + 3 weights, and a ReLU between: on a ray from
    its centre the logits are not linear. Fails without the ReLU, or with another layer."""
    net = build("mlp", 4, 3, seed=0)
    assert sum(p.numel() for p in net.parameters()) == 803
    assert net(torch.rand(5, 4)).shape == (5, 3)
    at = torch.tensor([[-3.0], [0.0], [3.0]]).expand(-1, 4) + 0.5
    low, middle, high = net(at)
    assert not torch.allclose(low + high, 2 * middle, atol=1e-3)


def test_normalisation_is_inside():
    """Inputs are pixels in [0, 1]; (x - 0.5) / 0.25 is the model's own affair. Fails if it is
    left out, or done twice."""
    net, x = build("small-cnn", 1, 3, seed=0), torch.rand(2, 1, 8, 8)
    assert torch.equal(net(x), net.net((x - 0.5) / 0.25))
    assert not torch.allclose(net(x), net.net(x))
    shifted = Normalized(net.net, mean=0.3, std=0.5)
    assert torch.allclose(shifted(x * 2 - 0.7), net(x), atol=1e-5)
    assert {"mean", "std"} <= set(net.state_dict())  # they travel with the weights


def test_a_seed_decides_the_weights(same_random_state):
    """Fails if weights come from the global random state, or seed 0 means "no seed"."""
    with same_random_state():
        torch_state = [build("small-cnn", 1, 3, seed=s).state_dict() for s in (0, 0, 1)]
    first, same, other = (torch.cat([v.flatten() for v in s.values()]) for s in torch_state)
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(("name", "head"), [("small-cnn", "net.19."), ("resnet18", "net.fc.")])
def test_transfer_copies_all_but_the_head(name, head):
    """Fails if the head is copied when its size allows, or weights or statistics stay behind."""
    source, own = build(name, 3, 4, seed=1), build(name, 3, 4, seed=2)
    for module in source.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean += 1
            module.num_batches_tracked += 5
    got = transfer(build(name, 3, 4, seed=2), source.state_dict()).state_dict()
    for key, value in got.items():
        expected = own if key.startswith(head) else source
        assert torch.equal(value, expected.state_dict()[key]), key
    assert sum(k.startswith(head) for k in got) == 2


@pytest.mark.parametrize(
    ("name", "count", "k", "first"),
    [
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


@pytest.mark.parametrize(
    ("shape", "most"), [((1, 8, 8), 1000), ((3, 32, 32), 256), ((3, 224, 224), 5)]
)
def test_a_batch_is_smaller_where_samples_are_larger(shape, most):
    """Fails if ImageNet's images are shown a thousand at a time, or if a sample is lost."""
    seen = []

    class First(nn.Module):
        def forward(self, x):
            seen.append(len(x))
            return x.flatten(1)[:, :2]

    n = 2 * most + 1
    x = torch.zeros(n, *shape, dtype=torch.uint8)
    x[:, 0, 0, 0] = torch.arange(n) % 256
    net = First().train()
    out = tensors.logits(net, x)
    assert seen == [most, most, 1]
    assert torch.equal(out[:, 0], (torch.arange(n) % 256) / 255)
    assert net.training
