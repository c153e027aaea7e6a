"""Parts of a data set drawn by chance, the same share of every class: by a seed, so that they are
the same on every machine.

Some protocols hold images of the *training* side back for choosing hyper-parameters and report on
the whole official test set (the paper's CIFAR-10: 20 %, so 4,000 images a class are trained on).
:func:`set_aside` moves them to the end of the test side and ``Dataset.spare`` counts them; a split
then takes them for its validation part, and every other test sample for its test part. Nothing
else changes: what was set aside is never trained on, and is what ``Run.spare`` and a rehearsal use.

A small part of a data set, chosen by order and not by chance.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from rurklib import checks, samples
from rurklib.data.dataset import Dataset, Pair


def set_aside(data: Dataset, share: float, *, seed: int = 0) -> Dataset:
    """``data`` with a share in (0, 1) of every class's training samples held back for validation.

    They stand behind the test samples; ``spare`` says how many they are. Raises InputError for
    another share, one that leaves a class empty, or data that have spare samples already.
    """
    checks.number("validation_of_train", share, 0.0, 1.0)
    if data.spare:
        raise checks.InputError(f"{data.name} has {data.spare} spare samples: expected none so far")
    y = data.train[1]
    rng = np.random.default_rng([seed, 4])
    members = [rng.permutation(m) for m in _members(y, len(data.classes))]
    held = np.sort(np.concatenate([m[: round(share * len(m))] for m in members]))
    kept = np.setdiff1d(np.arange(len(y)), held)
    if not len(held) or len(np.unique(y.cpu().numpy()[kept])) < len(members):
        raise checks.InputError(
            f"validation_of_train = {share!r}: of {data.name}'s {len(y)} training samples it takes "
            f"{len(held)}; expected a share that leaves some of every class on both sides"
        )
    apart, rest = (_at(data.train, torch.from_numpy(i)) for i in (held, kept))
    test = (torch.cat([data.test[0], apart[0]]), torch.cat([data.test[1], apart[1]]))
    return replace(
        data,
        train=rest,
        test=test,
        provenance=f"{data.provenance}; {len(held)} training samples set aside for validation",
        groups=_groups(data, torch.from_numpy(kept)),
        spare=len(held),
    )


def fewer(data: Dataset, *, train: int = 0, test: int = 0, seed: int = 0) -> Dataset:
    """``data`` with ``train`` training samples and ``test`` test samples, as many of each class as
    of any other; 0: all. Of spare samples at most ``test`` are kept too.

    For trying things at a size that a laptop bears. A smaller part is within a larger one of the
    same seed, and samples keep their order. Raises InputError if a class has too few.
    """
    for what, n in (("train_images", train), ("test_images", test)):
        checks.count(what, n, 0)
    if not train and not test:
        return data
    rng = np.random.default_rng([seed, 5])
    official = len(data.test[1]) - data.spare
    ends = ((0, official), (official, len(data.test[1])))
    drawn = [_drawn(data, "train", data.train[1], train, rng)]
    for k, (low, high) in enumerate(ends):
        wanted = test if k == 0 else min(test, high - low)
        drawn.append(_drawn(data, "test", data.test[1][low:high], wanted, rng) + low)
    shown = torch.cat(drawn[1:])
    sizes = f"{len(drawn[0])} of the training and {len(drawn[1])} of the test samples"
    return replace(
        data,
        train=_at(data.train, drawn[0]) if train else data.train,
        test=_at(data.test, shown) if test else data.test,
        provenance=f"{data.provenance}; {sizes}",
        groups=_groups(data, drawn[0]),
        spare=len(drawn[2]),
    )


def _drawn(data: Dataset, side: str, y: Tensor, n: int, rng: np.random.Generator) -> Tensor:
    """Sorted indices of ``n`` samples, of all classes alike (the first give one more); 0: all."""
    classes = len(data.classes)
    members = [rng.permutation(m) for m in _members(y, classes)]
    if not n:
        return torch.arange(len(y))
    chosen = []
    for c, own in enumerate(members):
        share = n // classes + (c < n % classes)
        if not 0 < share <= len(own):
            raise checks.InputError(
                f"{side}_images = {n}: that is {share} samples of class {c} ({data.classes[c]}) "
                f"of {data.name}, which has {len(own)} there; ask for another number, 0 for all"
            )
        chosen.append(own[:share])
    return torch.from_numpy(np.sort(np.concatenate(chosen)))


def _members(y: Tensor, classes: int) -> list[np.ndarray]:
    """The indices of each class's samples."""
    labels = y.cpu().numpy()
    return [np.flatnonzero(labels == c) for c in range(classes)]


def _at(pair: Pair, index: Tensor) -> Pair:
    at = index.to(pair[0].device)
    return samples.take(pair[0], at), pair[1][at]


def _groups(data: Dataset, index: Tensor) -> Tensor | None:
    """Whose the training samples are that stay."""
    return None if data.groups is None else data.groups[index.to(data.groups.device)]


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
                raise checks.InputError(
                    f"{data.name} has {len(members)} {side} samples of class {c} "
                    f"({data.classes[c]}): {each} are needed; give the whole data set"
                )
            index.append(members)
        chosen = torch.cat(index).sort().values
        return samples.take(x, chosen), y[chosen]

    return Dataset(
        name=name,
        train=part(data.train, train, "train"),
        test=part(data.test, test, "test"),
        classes=data.classes[:count],
        provenance=f"{data.provenance}; the first {train} train and {test} test samples a class",
        bounds=data.bounds,
    )
