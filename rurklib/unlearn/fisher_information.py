"""The diagonal of the empirical Fisher information: how much each weight matters to each label.

Reference: Golatkar, Achille & Soatto, "Eternal Sunshine of the Spotless Net", CVPR 2020; Foster,
Schoepf & Brintrup, "Selective Synaptic Dampening", AAAI 2024 (both select weights by it).

Algorithm:
    1. per sample:  g = d/dw log p(y | x)  with y the label that is given
    2. square g entry by entry
    3. average over the samples

Notes on this implementation: the square is taken per sample (``torch.func.vmap``). Peers square the
mean gradient of a batch, which isn't the Fisher information: it depends on the batch size, and in
it gradients of opposite sign cancel. The label is the given one, not drawn from the model, so this
is the "empirical" Fisher of the field.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from rurklib.tensors import as_float, evaluating
from rurklib.train.precision import casts

Of = Callable[[Tensor, Tensor], Tensor]  # a sample's logits [1, classes] and label -> a number


def log_likelihood(logits: Tensor, y: Tensor) -> Tensor:
    """log p(y | x) of one sample: minus its cross-entropy."""
    return F.log_softmax(logits, 1)[0].gather(0, y[None])[0]


def scores(
    model: nn.Module, x: Tensor, y: Tensor, *, batch_size: int = 64, of: Of = log_likelihood
) -> Iterator[dict[str, Tensor]]:
    """d/dw log p(y|x) of each sample, or of what ``of`` says instead, ``batch_size`` samples at a
    time: for every parameter by its name a tensor ``[batch, *shape]``.

    ``x`` is uint8 or float [n, ...], ``y`` int64 [n]. Eval mode, so that a sample's gradient is
    its own; the model's modes, buffers and ``.grad`` are left as found. ``batch_size`` decides the
    memory (that many copies of the weights), not the result.
    """
    weights = {name: p.detach() for name, p in model.named_parameters()}
    buffers = dict(model.named_buffers())

    def value(weights: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        return of(functional_call(model, (weights, buffers), (x[None],)), y)

    per_sample = vmap(grad(value), in_dims=(None, 0, 0))
    for xb, yb in zip(x.split(batch_size), y.split(batch_size), strict=True):
        with evaluating(model), _uncast(model):
            batch = per_sample(weights, as_float(xb), yb)
        yield batch


@contextmanager
def _uncast(model: nn.Module) -> Iterator[None]:
    """Without the casts of :func:`rurklib.train.precision.computing`, which vmap can't combine with
    BatchNorm's float32: derivatives of single samples are float32's."""
    cast = {part: vars(part).pop("forward") for part in model.modules() if casts(part)}
    try:
        yield
    finally:
        for part, forward in cast.items():
            part.forward = forward  # type: ignore[method-assign]


def diagonal_fisher(
    model: nn.Module, x: Tensor, y: Tensor, *, batch_size: int = 64
) -> dict[str, Tensor]:
    """Mean over samples of (d/dw log p(y|x))^2, for every parameter by its name.

    Arguments as in :func:`scores`; the model is left as found.
    """
    return mean_of(torch.square, model, x, y, batch_size=batch_size)


def mean_score(
    model: nn.Module, x: Tensor, y: Tensor, *, batch_size: int = 64
) -> dict[str, Tensor]:
    """Mean over samples of d/dw log p(y|x): minus the gradient of the mean cross-entropy in eval
    mode, for every parameter by its name. Arguments as in :func:`scores`."""
    return mean_of(torch.positive, model, x, y, batch_size=batch_size)


def mean_of(
    change: Callable[[Tensor], Tensor],
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    batch_size: int = 64,
    of: Of = log_likelihood,
) -> dict[str, Tensor]:
    """Mean over samples of their :func:`scores`, each entry changed first, by parameter's name."""
    total = {name: torch.zeros_like(p) for name, p in model.named_parameters()}
    for batch in scores(model, x, y, batch_size=batch_size, of=of):
        for name, g in batch.items():
            total[name] += change(g).sum(0)
    return {name: t / len(x) for name, t in total.items()}
