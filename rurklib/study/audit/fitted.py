"""Nets as they were trained: on normalised inputs, with labels in an order of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from rurklib.checks import InputError, logits, number
from rurklib.models import Normalized
from rurklib.models.logits import logits as of_all
from rurklib.tensors import Pair


class Reordered(nn.Module):
    """``net(x)`` with its outputs put in the order of the data's labels: ``order`` [classes] is the
    output for each label."""

    def __init__(self, net: nn.Module, order: list[int]) -> None:
        super().__init__()
        self.net, self.order = net, order

    def forward(self, x: Tensor) -> Tensor:
        """Logits [n, classes]: column k is the data's label k."""
        return self.net(x)[:, self.order]


def fitted(
    nets: Sequence[nn.Module],
    x: Tensor,
    y: Tensor,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    label_order: Sequence[float] | None = None,
) -> list[nn.Module]:
    """The nets, normalised and with their outputs reordered as far as there is anything to fit.

    ``mean`` and ``std`` are one number, or one for each channel of x [n, channels, ...], in units
    of x (uint8 is read as x / 255; 0 and 1 where only the other is given); ``label_order`` has the
    label that each output stands for. Raises InputError for numbers that don't fit the data, or for
    an order that isn't one of the labels of the first net.
    """
    if mean is None and std is None and label_order is None:
        return list(nets)
    for option, values in {"--mean": mean or [0.0], "--std": std or [1.0]}.items():
        if len(values) not in (1, x.shape[1]):
            raise InputError(
                f"{option} has {len(values)} numbers: expected one, or one for each of the "
                f"{x.shape[1]} channels of samples {tuple(x.shape[1:])}"
            )
        for value in values:
            number(option, value)
    if min(std or [1.0]) <= 0:
        raise InputError(f"--std {min(std or [1.0]):g}: expected numbers above 0, in units of x")
    shape = (-1, *[1] * (x.ndim - 2))
    off, by = (
        torch.tensor(values, dtype=torch.float32).view(shape)
        for values in (mean or [0.0], std or [1.0])
    )
    nets = [Normalized(net).eval() for net in nets]
    for net in nets:
        net.mean, net.std = off, by  # they broadcast against a sample [channels, ...]
    if label_order is not None:
        told = shown_to(nets[0], x, y)
        if sorted(label_order) != list(range(told)):
            shown = ",".join(f"{label:g}" for label in label_order)
            raise InputError(
                f"--label-order {shown}: expected each of 0 ... {told - 1} once, for the model has "
                f"{told} outputs; give the label that each stands for, the first output's first"
            )
        order = [list(label_order).index(label) for label in range(told)]
        nets = [Reordered(net, order).eval() for net in nets]
    return nets


def shown_to(net: nn.Module, x: Tensor, y: Tensor) -> int:
    """How many classes a net tells apart in samples (x, y). InputError if it can't be shown them,
    with the mend where they lack nothing but a channel."""
    try:
        return logits(net, x, y)
    except InputError as error:
        try:
            logits(net, x[:, None], y)
        except InputError:
            raise error from None
        raise InputError(
            f"{error}; with one channel it works: try x[:, None] in the file"
        ) from error


def as_expected(nets: Mapping[str, nn.Module], samples: Pair, what: str, share: float) -> None:
    """Raise InputError, which names it, for a net that is right on less than ``share`` of the
    samples, which are called ``what``. Without noise."""
    x, y = samples
    for name, net in nets.items():
        logits(net, x, y, name)
        right = int((of_all(net, x).argmax(1) == y).sum())
        if right < share * len(y):
            raise InputError(
                f"{name} is right on {right} of {len(y)} {what} samples, {right / len(y):.4g}: "
                f"expected {share:g} or more (--expect-accuracy); mend normalisation "
                "(--mean, --std), the order of labels (--label-order), or the weights"
            )
