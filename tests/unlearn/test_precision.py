"""What numbers a method computes in is no method's concern: all of them take ``precision``."""

import copy
import types
from typing import ClassVar

import pytest
import torch
from torch import nn

from rurklib import METHODS, InputError, unlearn
from rurklib.train.precision import computing, plain


class Watched(nn.Module):
    """A net that writes down in what numbers it computed, whatever copy of it was asked."""

    seen: ClassVar[set[torch.dtype]] = set()

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x):
        out = self.net(x)
        self.seen.add(out.dtype)
        return out


@pytest.fixture
def watched(cnn):
    Watched.seen = set()
    return Watched(cnn())


@pytest.mark.parametrize("name", METHODS)
def test_all_that_a_method_asks_is_asked_in_bfloat16(name, watched, images):
    """Teachers too. Fails if a copy of the model computes in float32, if what is kept is rounded,
    or if the model that comes back, or the caller's, still casts."""
    x, y = images(14)
    before = copy.deepcopy(watched.state_dict())
    pairs = (x[:10], y[:10]), (x[10:], y[10:])
    Watched.seen.clear()
    out = unlearn(name, watched, *pairs, seed=1, precision="bfloat16")
    # The contract looks at logits before it begins; derivatives of single samples are float32's.
    alone = name in ("SSD", "LFSSD", "WoodFisher")
    assert Watched.seen == ({torch.float32} if alone else {torch.float32, torch.bfloat16})
    assert all(torch.equal(v, before[k]) for k, v in watched.state_dict().items())
    assert {v.dtype for v in out.parameters()} == {torch.float32}
    full = unlearn(name, watched, *pairs, seed=1)
    for k, v in out.state_dict().items():
        torch.testing.assert_close(v, full.state_dict()[k], atol=0.02, rtol=0.02)
    Watched.seen.clear()
    out(x)
    watched(x)
    assert Watched.seen == {torch.float32}
    assert all(p.is_contiguous() for p in watched.parameters())


@pytest.mark.parametrize("name", METHODS)
def test_an_unknown_precision_is_refused(name, watched, images):
    x, y = images(14)
    with pytest.raises(InputError, match="float16"):
        unlearn(name, watched, (x[:10], y[:10]), (x[10:], y[10:]), precision="float16")


def test_a_copy_made_meanwhile_casts_for_itself(watched):
    """Fails if it asks the model that it was copied from."""
    x = torch.rand(2, 1, 6, 6)
    with computing(watched, "bfloat16"), torch.no_grad():
        other = copy.deepcopy(watched)
        other.net[5].weight.zero_()
        other.net[5].bias.zero_()
        assert not other(x).any()
        assert watched(x).any()
        with computing(watched, "float32"):  # a block in a block changes nothing
            assert watched(x).dtype == torch.float32
    plain(other)
    Watched.seen.clear()
    other(x)
    assert Watched.seen == {torch.float32}


def test_after_an_error_nothing_casts(watched):
    with pytest.raises(RuntimeError), computing(watched, "bfloat16"):
        watched(torch.rand(2, 5, 6, 6))
    assert "forward" not in vars(watched)


@pytest.mark.parametrize("name", ["GD", "SSD"])
def test_a_forward_of_the_models_own_is_left_to_it_and_not_cast(name, cnn, images):
    """As some libraries' hooks replace it on the object. Fails if a method takes it away."""
    x, y = images(14)
    net = cnn()
    net.forward = types.MethodType(lambda self, x: 2 * type(self).forward(self, x), net)
    pairs = (x[:10], y[:10]), (x[10:], y[10:])
    out = unlearn(name, net, *pairs, seed=0)
    assert torch.equal(out(x), 2 * type(out).forward(out, x))
    with pytest.raises(InputError, match="forward was replaced on the object"):
        unlearn(name, net, *pairs, seed=0, precision="bfloat16")
