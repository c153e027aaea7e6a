"""The last k layers of a net: named, re-initialised, or trained while the rest stays frozen.

Reference: Goel et al., "Towards Adversarial Evaluations for Inexact Machine Unlearning",
arXiv 2201.06640, 2022 (EU-k and CF-k).

Algorithm:
    1. walk the net in registration order, which is forward order in every net here
    2. a module with a weight matrix or kernel (2 dimensions or more) opens a layer
    3. what owns only vectors (BatchNorm) joins the layer before it, and so does a shortcut

Notes on this implementation: this counts layers as the names of nets do: 18 in a ResNet-18, whose
projection shortcuts aren't counted. So k = 5 is fc and the last two residual blocks there, the
paper's choice. The official code counts the shortcuts as well and then stops one convolution short
of the two blocks; it re-initialises no BatchNorm layer, and leaves the frozen ones in train mode,
where their running statistics move. Here "re-initialised" and "frozen" cover BatchNorm.
"""

from collections.abc import Iterator

import torch
from torch import nn

from rurklib import checks
from rurklib.tensors import Pair, mixed_seed, seeded
from rurklib.train.spec import SGD

PAPERS_K = 5
SHORTCUTS = {"downsample", "shortcut"}  # what torchvision and the usual CIFAR ResNets call them


def layers(model: nn.Module) -> list[list[nn.Module]]:
    """The layers of ``model`` from first to last, each as its modules (see the rule above)."""
    found: list[list[nn.Module]] = [[]]
    opened = False  # what owns only vectors and stands before the first layer joins that one
    for path, module in _owners(model):
        kernel = any(p.ndim > 1 for p in module.parameters())
        opens = kernel and SHORTCUTS.isdisjoint(path)
        if opens and opened:
            found.append([])
        opened = opened or opens
        found[-1].append(module)
    return found if opened else []


def _owners(module: nn.Module, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple, nn.Module]]:
    """The outermost modules that own parameters themselves, and leaves with a state."""
    children = list(module.named_children())
    own = [name for name, _ in module.named_parameters(recurse=False)]
    if own and sum(p.ndim > 1 for _, child in children for p in child.parameters()) > 1:
        raise checks.InputError(
            f"{type(module).__name__} owns {', '.join(own)} beside several layers, which count as "
            "one then: expected parameters in modules of their own; wrap them in one"
        )
    if own or not children:
        if module.state_dict():
            yield path, module
    else:
        for name, child in children:
            yield from _owners(child, (*path, name))


def last_layers(model: nn.Module, k: int | None = None) -> list[nn.Module]:
    """The modules of the last ``k`` layers.

    None is the paper's 5, but at most half of the net's layers: 5 of the 6 layers of a small net
    would be re-training. Raises InputError if the model has fewer than k layers.
    """
    found = layers(model)
    if not found:
        raise checks.InputError("model has no layer with weights: expected at least one")
    if k is None:
        k = min(PAPERS_K, max(len(found) // 2, 1))
    if checks.count("k", k) > len(found):
        raise checks.InputError(
            f"k = {k}: expected at most {len(found)}, the number of layers of the model"
        )
    return [module for layer in found[-k:] for module in layer]


def reset(modules: list[nn.Module], seed: int, *, frozen_too: bool = False) -> None:
    """Re-initialise ``modules`` in place by their own ``reset_parameters``, BatchNorm's running
    statistics included; frozen parameters stay as they are, for they can't learn anew, unless
    ``frozen_too``. ``seed`` decides the weights; the global random state isn't touched. Raises
    InputError for a module that has no such function, or one that leaves its weights."""
    parts = [part for module in modules for part in module.modules()]
    initialisers = [getattr(part, "reset_parameters", None) for part in parts]
    for part, initialise in zip(parts, initialisers, strict=True):
        if initialise is None and next(part.parameters(recurse=False), None) is not None:
            raise checks.InputError(
                f"{type(part).__name__} has no reset_parameters(): it can't be re-initialised; "
                "give it one, or a k (of EU-k) by which it isn't among the last layers"
            )
    weights = [p for module in modules for p in module.parameters()]
    before = [p.detach().clone() for p in weights]
    with torch.no_grad():
        for p in weights:
            p.fill_(torch.nan)  # whatever is so afterwards wasn't re-initialised
    # A stream of its own, or a net of one layer would get the weights that Original started from.
    with seeded(mixed_seed(seed, 4)):
        for initialise in initialisers:
            if initialise is not None:
                initialise()
    if any(bool(p.isnan().any()) for p in weights):
        raise checks.InputError(
            "a weight is the same after its module's reset_parameters(), as under weight_norm and "
            "spectral_norm: expected a net without them, or a reset_parameters() that sets it"
        )
    with torch.no_grad():
        for p, old in zip(weights, before, strict=True):
            if not (p.requires_grad or frozen_too):
                p.copy_(old)


def fine_tune(
    model: nn.Module, trained: list[nn.Module], retain: Pair, *, seed: int, sgd: SGD
) -> nn.Module:
    """Train ``trained``, parts of ``model``, on the retain set in place; the rest is frozen.

    The whole model is put in eval mode, and nothing but these parts in train mode while they learn:
    so the frozen layers' BatchNorm neither uses nor moves batch statistics. They need no gradient
    either, which ends the backward pass at the first trained layer.
    """
    part = nn.ModuleList(trained)
    learning = {id(p) for p in part.parameters()}
    if not any(p.requires_grad for p in part.parameters()):
        raise checks.InputError(
            "all parameters of these layers are frozen (requires_grad is False): expected one that "
            "learns; take a larger k, or requires_grad_(True)"
        )
    frozen = [p for p in model.parameters() if p.requires_grad and id(p) not in learning]
    model.eval()
    for p in frozen:
        p.requires_grad_(False)
    try:
        return sgd.fine_tune(model, retain, seed=seed, part=part)
    finally:
        for p in frozen:
            p.requires_grad_(True)
