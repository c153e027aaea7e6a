"""EU-k, CF-k and the control: what a layer is, what is made anew, what stays."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from rurklib import unlearn
from rurklib.models import build
from rurklib.train import Recipe, fit
from rurklib.unlearn.layers import eu_k, last_layers, layers, reset

NETS = {"small-cnn": (1, 8), "resnet18": (3, 16)}


def images(n: int, seed: int, name: str = "small-cnn") -> tuple[torch.Tensor, torch.Tensor]:
    channels, size = NETS[name]
    x = torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(seed))
    return x, torch.arange(n) % 3


def used(name: str = "small-cnn", seed: int = 0) -> nn.Module:
    """A model whose every weight and statistic differs from what initialisation gives."""
    model = build(name, NETS[name][0], 3, seed=seed)
    g = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.05 * torch.rand(p.shape, generator=g) + 0.01)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1, generator=g)
            module.running_var.uniform_(0.8, 1.2, generator=g)
            module.num_batches_tracked.fill_(100)
    return model


def keys(model: nn.Module, modules: list[nn.Module]) -> set[str]:
    """The state_dict keys of some modules of a model."""
    names = {id(m): n for n, m in model.named_modules()}
    return {f"{names[id(m)]}.{key}" for m in modules for key in m.state_dict()}


def changed(a: nn.Module, b: nn.Module) -> set[str]:
    other = b.state_dict()
    return {k for k, v in a.state_dict().items() if not torch.equal(v, other[k])}


@pytest.mark.parametrize(
    ("name", "count"), [("small-cnn", 6), ("resnet18", 18), ("vgg11-narrow", 9)]
)
def test_layers_are_counted_as_the_names_of_nets_do(name: str, count: int) -> None:
    """Catches BatchNorm or a shortcut counted as a layer, and state that belongs to no layer."""
    model = build(name, 3, 10, seed=0)
    found = layers(model)
    assert len(found) == count
    owned = keys(model, [module for layer in found for module in layer])
    assert owned == {k for k in model.state_dict() if k not in ("mean", "std")}


def test_five_layers_of_a_resnet_are_fc_and_the_last_two_blocks() -> None:
    """The paper's "fc and last two residual blocks" is its "k = 5". Catches counting shortcuts,
    which stops one convolution short (as the official code does)."""
    model = build("resnet18", 3, 10, seed=0)
    named = keys(model, last_layers(model))
    assert named == {k for k in model.state_dict() if k.startswith(("net.layer4", "net.fc"))}


@pytest.mark.parametrize(("name", "k"), [("small-cnn", 1), ("small-cnn", 3), ("resnet18", 5)])
def test_eu_k_reinitialises_exactly_its_layers(name: str, k: int) -> None:
    """With lr 0 what differs from Original is the state of the last k layers, all of it (weights,
    BatchNorm statistics) and nothing else. Catches statistics that survive the reset, frozen
    BatchNorm statistics that move, and a wrong set of layers."""
    model = used(name).train()  # the mode that Original comes in must not matter
    after = eu_k(model, images(6, 1, name), images(3, 2, name), k=k, lr=0.0, epochs=1)
    assert changed(model, after) == keys(model, last_layers(model, k))


def test_new_weights_are_not_those_of_the_same_seed_before() -> None:
    """Catches new weights that are those which Original was built with."""
    built = build("small-cnn", 1, 3, seed=5)
    again = eu_k(built, images(6, 1), images(3, 2), seed=5, k=6, lr=0.0, epochs=1)
    assert not torch.equal(again.net[0].weight, built.net[0].weight)


RECIPE = Recipe(epochs=8, lr=0.1, batch_size=4, warmup=2.0, label_smoothing=0.1)


def test_it_is_a_training_from_new_weights_of_two_epochs_for_eight(cnn, task, same):
    """Two Originals, one model, to the bit: that of a training by the recipe in a quarter of the
    epochs. Fails if a weight or statistic of Original stays, the schedule is that of the long
    training (its rate wouldn't reach 0), or part of the recipe is lost."""
    _, retain, forget = task
    one, other = (
        unlearn("Retrain-quarter", cnn(k), retain, forget, seed=3, recipe=RECIPE) for k in (0, 1)
    )
    assert same(one, other)
    fresh = cnn(2)
    reset([fresh], 3)
    assert same(one, fit(fresh, *retain, replace(RECIPE, epochs=2, warmup=0.5), seed=3))
