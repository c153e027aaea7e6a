"""A stand-in for training a net: nets with weights drawn anew, and their head in closed form.

Reference: Rahimi & Recht, "Random Features for Large-Scale Kernel Machines", NeurIPS 2007.

Algorithm:
    1. copy the net ``nets`` times and draw all weights anew; BatchNorm gets the data's statistics
    2. a sample's features are what the last linear layers of all copies are given
    3. ridge regression of the labels on the features gives scores for each class

Notes on this implementation: features are standardised and the kernel is their mean product, so
``ridge`` is in units of a sample's mean squared feature. Nothing of the given net's weights is left
in it, so a stand-in fitted to the retain set knows nothing of the forget set, and one costs a few
forward passes.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rurklib import check
from rurklib.check import as_float
from rurklib.guard import mixed
from rurklib.methods.last_layers import reset

PIECE = 500  # samples shown at once
Scores = Callable[[Tensor], Tensor]


def drawn_anew(model: nn.Module, x: Tensor, *, nets: int, seed: int) -> list[nn.Module]:
    """``nets`` copies of ``model`` with weights drawn from ``seed`` and BatchNorm statistics of x.

    x [n, ...] float. In eval mode. Raises InputError if the model has no linear layer or a layer
    that can't be initialised again.
    """
    if _head(model) is None:
        raise check.InputError(
            "model has no linear layer: a stand-in solves the last one; choose another target"
        )
    made = []
    for i in range(nets):
        net = copy.deepcopy(model)
        reset([net], mixed(seed, 21, i))
        norms = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        net.eval()
        before = [m.momentum for m in norms]
        for m in norms:
            m.train()
            m.momentum = None  # a plain average over the pieces
        with torch.no_grad():
            for piece in x.split(PIECE) if norms else ():
                net(piece)
        for m, momentum in zip(norms, before, strict=True):
            m.momentum = momentum
        made.append(net.eval())
    return made


def _head(model: nn.Module) -> nn.Linear | None:
    linear = [m for m in model.modules() if isinstance(m, nn.Linear)]
    return linear[-1] if linear else None


def features(nets: Sequence[nn.Module], x: Tensor) -> Tensor:
    """What the last linear layers of ``nets`` are given, side by side: float64 [n, width]."""
    given: list[Tensor] = []
    columns = []
    for net in nets:
        hook = _head(net).register_forward_pre_hook(lambda _, told: given.append(told[0]))  # type: ignore[union-attr]
        with torch.no_grad():
            for piece in x.split(PIECE):
                net(piece)
        hook.remove()
        columns.append(torch.cat(given).double())
        given.clear()
    return torch.cat(columns, 1)


def fitted(nets: Sequence[nn.Module], x: Tensor, y: Tensor, classes: int, ridge: float) -> Scores:
    """Ridge regression of the labels y on the features of x: a function of *features* [n, width]
    that gives scores [n, classes], about 1 for the right class and 0 for the others.

    x [n, ...], y int64 [n]; ``ridge`` above 0.
    """
    given = features(nets, as_float(x))
    centre, size = given.mean(0), given.std(0, unbiased=False) + 1e-6
    z = (given - centre) / size
    goal = F.one_hot(y, classes).double()
    lifted = z @ z.T / z.shape[1] + ridge * torch.eye(len(z), dtype=z.dtype, device=z.device)
    weight = z.T @ torch.linalg.solve(lifted, goal - goal.mean(0)) / z.shape[1]
    return lambda new: (new - centre) / size @ weight + goal.mean(0)
