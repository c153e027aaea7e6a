"""Nets that are rare and were once unlearned wrongly without a word: each is refused, or right."""

import pytest
import torch
from torch import nn

from rurklib import InputError, unlearn
from rurklib.tensors import seeded
from rurklib.train.precision import casts
from rurklib.unlearn.last_layers import reset
from rurklib.unlearn.soft_and_wrong_labels import wrong_labels


def data(n: int = 40) -> tuple[tuple, tuple]:
    g = torch.Generator().manual_seed(0)
    x, y = torch.rand(n, 6, generator=g), torch.arange(n) % 3
    return (x[8:], y[8:]), (x[:8], y[:8])


def mlp(*middle: nn.Module) -> nn.Sequential:
    with seeded(0):
        return nn.Sequential(nn.Linear(6, 8), *middle, nn.ReLU(), nn.Linear(8, 8), nn.Linear(8, 3))


class Scaled(nn.Module):
    """Owns a number itself, as nets with a class token own that."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.scale = mlp(), nn.Parameter(torch.ones(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x) * self.scale


@pytest.mark.parametrize("name", ["CF-k", "EU-k"])
def test_layers_are_not_counted_where_a_module_owns_parameters_beside_several(name):
    """Fails if CF-k trains the whole net there, or EU-k draws it anew."""
    with pytest.raises(InputError, match="Scaled owns scale beside several layers"):
        unlearn(name, Scaled(), *data())


def test_a_layer_that_keeps_its_weights_is_not_called_new():
    net = mlp()
    nn.utils.spectral_norm(net[-1])
    with pytest.raises(InputError, match="the same after its module's reset_parameters"):
        unlearn("EU-k", net, *data(), k=1)


def test_weights_are_made_anew_by_what_made_them_before():
    """Reset twice by one seed: the same weights. Fails if that is taken for weights that stay."""
    net = mlp()
    reset([net], 0)
    first = [p.detach().clone() for p in net.parameters()]
    reset([net], 0)
    assert all(torch.equal(p, old) for p, old in zip(net.parameters(), first, strict=True))


def test_frozen_weights_stay_and_a_frozen_head_is_not_replaced():
    net = mlp()
    net[-1].weight.requires_grad_(False)
    new = unlearn("EU-k", net, *data(), k=2, epochs=1)
    assert torch.equal(new[-1].weight, net[-1].weight)
    assert not torch.equal(new[-2].weight, net[-2].weight)
    with pytest.raises(InputError, match="the head is frozen"):
        unlearn("CR", net, *data())
    net.requires_grad_(False)
    with pytest.raises(InputError, match="every parameter of the model is frozen"):
        unlearn("GD", net, *data())
    net[0].requires_grad_(True)
    with pytest.raises(InputError, match="all parameters of these layers are frozen"):
        unlearn("CF-k", net, *data(), k=1)


def test_a_method_after_another_keeps_the_precision(monkeypatch):
    """Fails if RURK after GD is computed in float32 where bfloat16 was asked for."""
    asked, forward = [], nn.Linear.forward

    def seen(self: nn.Linear, x: torch.Tensor) -> torch.Tensor:
        out = forward(self, x)
        asked.append(out.dtype)
        return out

    monkeypatch.setattr(nn.Linear, "forward", seen)
    net = mlp()
    asked.clear()
    new = unlearn("GD+RURK", net, *data(), precision="bfloat16", epochs=1, first={"epochs": 1})
    monkeypatch.undo()
    learning = asked[6 * 3 :]  # the first are checks of the input
    assert set(learning[:3]) == {torch.bfloat16}
    assert learning.count(torch.float32) <= 6 * 3  # checks of the second method, no more
    assert not casts(new)


def test_one_sample_and_one_output_are_named():
    retain, (x, y) = data()
    net = mlp(nn.BatchNorm1d(8))
    with pytest.raises(InputError, match='batchnorm="frozen" one will do'):
        unlearn("GA", net, retain, (x[:1], y[:1]))
    assert unlearn("GA", net, retain, (x[:1], y[:1]), batchnorm="frozen") is not net
    with pytest.raises(InputError, match="1 output: expected two classes at least"):
        wrong_labels(y[:1], 1, torch.Generator())
