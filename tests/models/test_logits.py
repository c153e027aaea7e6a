"""Logits of many samples: all of them, in order, in batches that suit the size of a sample."""

import pytest
import torch
from torch import nn

from rurklib.models import logits


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
    out = logits.logits(net, x)
    assert seen == [most, most, 1]
    assert torch.equal(out[:, 0], (torch.arange(n) % 256) / 255)
    assert net.training
