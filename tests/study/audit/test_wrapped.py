"""Nets as people have them: normalised outside, labels in another order, weights by inner names."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from rurklib import InputError
from rurklib.study.audit.files import built

ORDER = [2, 0, 1]


class Wrapped(nn.Module):
    """Somebody's net of three classes for inputs in [0, 1] and our order of labels."""

    def __init__(self) -> None:
        super().__init__()
        self.net = resnet18(num_classes=3)
        self.register_buffer("mean", torch.tensor([0.49, 0.48, 0.45]).view(3, 1, 1))

    def forward(self, x):
        return self.net((x - self.mean) / 0.25)[:, ORDER]


def test_weights_by_the_inner_nets_names_are_loaded():
    """As ``torch.save(net.state_dict())`` wrote them. Fails if BatchNorm's statistics stay those of
    a new net, or the constants outside are lost."""
    theirs = resnet18(num_classes=3)
    theirs(torch.rand(8, 3, 32, 32))  # in train mode: its statistics move
    theirs.eval()
    model = built(Wrapped, Path("w.pt"), theirs.state_dict(), "m.py:build")
    x, mean = torch.rand(2, 3, 32, 32), torch.tensor([0.49, 0.48, 0.45]).view(3, 1, 1)
    with torch.no_grad():
        assert torch.equal(model(x), theirs((x - mean) / 0.25)[:, ORDER])


def test_what_the_outer_net_could_learn_is_never_left_as_it_was_built():
    """Fails if a head that no file holds keeps random weights."""

    class WithHead(Wrapped):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(3, 3)

    with pytest.raises(
        InputError, match=r"w.pt doesn't fit the net that --model m.py:build builds"
    ):
        built(WithHead, Path("w.pt"), resnet18(num_classes=3).state_dict(), "m.py:build")
    lacking = {k: v for k, v in resnet18(num_classes=3).state_dict().items() if k != "fc.bias"}
    with pytest.raises(InputError, match=r"fc.bias"):
        built(Wrapped, Path("w.pt"), lacking, "")
