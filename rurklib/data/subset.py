"""A small part of a data set, chosen by order and not by chance."""

from __future__ import annotations

import torch
from torch import Tensor

from rurklib import check
from rurklib.data.dataset import Dataset, Pair
from rurklib.data.rows import taken


def first_of_each_class(
    data: Dataset, *, name: str, train: int, test: int, classes: int | None = None
) -> Dataset:
    """The first ``train`` and ``test`` samples of the first ``classes`` classes (default: all).

    Samples keep their order, so the same data give the same part on every machine. Raises
    InputError if a class has too few samples.
    """
    count = len(data.classes) if classes is None else classes

    def part(pair: Pair, each: int, side: str) -> Pair:
        x, y = pair
        index: list[Tensor] = []
        for c in range(count):
            members = torch.nonzero(y == c).flatten()[:each]
            if len(members) < each:
                raise check.InputError(
                    f"{data.name} has {len(members)} {side} samples of class {c} "
                    f"({data.classes[c]}): {each} are needed; give the whole data set"
                )
            index.append(members)
        chosen = torch.cat(index).sort().values
        return taken(x, chosen), y[chosen]

    return Dataset(
        name=name,
        train=part(data.train, train, "train"),
        test=part(data.test, test, "test"),
        classes=data.classes[:count],
        provenance=f"{data.provenance}; the first {train} train and {test} test samples a class",
        bounds=data.bounds,
    )
