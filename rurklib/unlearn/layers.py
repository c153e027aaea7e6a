"""The last k layers of a net: named, re-initialised, or trained while the rest stays frozen.

Reference: Goel et al., "Towards Adversarial Evaluations for Inexact Machine Unlearning", arXiv
2201.06640, 2022 (EU-k and CF-k; the control Retrain-quarter is nobody's).

What a layer is:
    1. walk the net in registration order, which is forward order in every net here
    2. a module with a weight matrix or kernel (2 dimensions or more) opens a layer
    3. what owns only vectors (BatchNorm) joins the layer before it, and so does a shortcut

Notes on this implementation: this counts layers as the names of nets do: 18 in a ResNet-18. So k =
5 is fc and the last two residual blocks there, the RURK paper's choice; the official code counts
shortcuts too. "Re-initialised" and "frozen" cover BatchNorm, and dropout stays off. k is 5, but at
most half of the layers.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from rurklib import checks
from rurklib.tensors import Pair, mixed_seed, seeded
from rurklib.train import SGD, Count, Recipe, fit
from rurklib.unlearn.contract import method

PAPERS_K = 5
SHORTCUTS = {"downsample", "shortcut"}  # what torchvision and the usual CIFAR ResNets call them


def layers(model: nn.Module) -> list[list[nn.Module]]:
    """The layers of ``model`` from first to last, each as its modules (see the rule above)."""
    found: list[list[nn.Module]] = [[]]
    for path, module in _owners(model):
        if any(p.ndim > 1 for p in module.parameters()) and SHORTCUTS.isdisjoint(path):
            found.append([])
        found[-1].append(module)
    before, *found = found
    return [before + found[0], *found[1:]] if found else []


def _owners(module: nn.Module, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple, nn.Module]]:
    """The outermost modules that own parameters themselves, and leaves with a state."""
    children = list(module.named_children())
    own = [name for name, _ in module.named_parameters(recurse=False)]
    if own and sum(p.ndim > 1 for _, child in children for p in child.parameters()) > 1:
        what = f"{type(module).__name__} owns {', '.join(own)} beside several layers"
        raise checks.InputError(f"{what}: expected parameters in modules of their own")
    if own or not children:
        if module.state_dict():
            yield path, module
    else:
        for name, child in children:
            yield from _owners(child, (*path, name))


def last_layers(model: nn.Module, k: int | None = None) -> list[nn.Module]:
    """The modules of the last ``k`` layers; None is the paper's 5, but at most half of the net's.
    Raises InputError if the model has fewer than k."""
    found = layers(model)
    if not found:
        raise checks.InputError("model has no layer with weights: expected at least one")
    if k is None:
        k = min(PAPERS_K, max(len(found) // 2, 1))
    if k > len(found):
        raise checks.InputError(f"k = {k}: expected at most the model's {len(found)} layers")
    return [module for layer in found[-k:] for module in layer]


def reset(modules: list[nn.Module], seed: int) -> None:
    """Re-initialise ``modules`` in place by their own ``reset_parameters``, BatchNorm's running
    statistics included; frozen parameters stay as they are. ``seed`` decides the weights. Raises
    InputError for a module that has no such function."""
    net = nn.ModuleList(modules)
    frozen = [(p, p.detach().clone()) for p in net.parameters() if not p.requires_grad]
    # A stream of its own, or a net of one layer would get the weights that Original started from.
    with seeded(mixed_seed(seed, 4)):
        for part in net.modules():
            initialise = getattr(part, "reset_parameters", None)
            if callable(initialise):
                initialise()
            elif next(part.parameters(recurse=False), None) is not None:
                what = f"{type(part).__name__} has no reset_parameters()"
                raise checks.InputError(f"{what}: it can't be re-initialised; give it one")
    with torch.no_grad():
        for p, value in frozen:
            p.copy_(value)


def fine_tune(
    model: nn.Module, trained: list[nn.Module], retain: Pair, *, seed: int, sgd: SGD
) -> nn.Module:
    """Train ``trained``, parts of ``model``, on the retain set in place; the rest is frozen.

    Nothing but these parts is in train mode while they learn, so the frozen layers' BatchNorm
    neither uses nor moves batch statistics.
    """
    part = nn.ModuleList(trained)
    frozen = {p for p in model.parameters() if p.requires_grad} - set(part.parameters())
    model.eval()
    for p in frozen:
        p.requires_grad_(False)
    sgd.fine_tune(model, retain, seed=seed, part=part)
    for p in frozen:
        p.requires_grad_(True)
    return model


@method("EU-k", sgd=SGD(), search={"lr": (3e-3, 0.1), "epochs": (5, 30), "k": [1, 2, 3, 5]})
def eu_k(
    model: nn.Module, retain: Pair, forget: Pair, *, seed: int, k: Count | None = None, sgd: SGD
) -> nn.Module:
    """EU-k: exact unlearning of the last k layers; train them anew and freeze the rest.

    Algorithm:
        1. start from Original; re-initialise the last k layers
        2. minimise  L(w, S_r)  over these layers by SGD, the others frozen

    What the forget samples taught the frozen layers stays, so only the last k are exact.
    """
    last = last_layers(model, k)
    reset(last, seed)
    return fine_tune(model, last, retain, seed=seed, sgd=sgd)


@method("CF-k", sgd=SGD(), search={"lr": (1e-3, 0.1), "epochs": (2, 30), "k": [1, 2, 3, 5]})
def cf_k(
    model: nn.Module, retain: Pair, forget: Pair, *, seed: int, k: Count | None = None, sgd: SGD
) -> nn.Module:
    """CF-k: catastrophic forgetting of the last k layers; fine-tune them and freeze the rest.

    EU-k without its first step; GD when k is the number of layers and nothing is dropped out.
    """
    return fine_tune(model, last_layers(model, k), retain, seed=seed, sgd=sgd)


@method("Retrain-quarter")
def retrain_quarter(
    model: nn.Module,
    retain: Pair,
    forget: Pair,
    *,
    seed: int,
    share: Annotated[float, Field(gt=0, le=1)] = 0.25,
    recipe: Recipe | None = None,
) -> nn.Module:
    """Retrain-quarter: no unlearning at all; re-train from scratch, for a quarter of the epochs.

    It is the control that every claim of a low cost needs: a method that takes a quarter of
    re-training's time has to be better than re-training for that long.

    Algorithm:
        1. re-initialise every layer: nothing of Original stays but what kind of net it is
        2. train on the retain set by the recipe of re-training, ``share`` of its epochs

    Notes on this implementation: the schedule is as much shorter, so the rate still ends at 0.
    """
    reset([model], seed)
    recipe = Recipe() if recipe is None else recipe
    epochs = max(int(share * recipe.epochs), 1)
    short = replace(recipe, epochs=epochs, warmup=recipe.warmup * epochs / recipe.epochs)
    return fit(model, *retain, short, seed=seed)
