"""Parts of a data set: the same share of every class, drawn by a seed, so that they are the same on
every machine; or the head of every class, which no chance decides.

Some protocols hold images of the *training* side back for choosing hyper-parameters and report on
the whole official test set (the paper's CIFAR-10: 20 %, so 4,000 images a class are trained on).
:func:`hold_out_validation` moves them to the end of the test side and ``Dataset.validation_size``
counts them; a split then takes them for its validation part, and every other test sample for its
test part. What was held out is never trained on.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from rurklib import checks
from rurklib.data.dataset import Dataset
from rurklib.tensors import Pair


def hold_out_validation(data: Dataset, share: float, *, seed: int = 0) -> Dataset:
    """``data`` with a share in (0, 1) of every class's training samples held out for validation.

    They stand behind the test samples; ``validation_size`` says how many they are. Raises
    InputError for another share, one that leaves a class empty, or data that hold some out already.
    """
    checks.number("validation_of_train", share, 0.0, 1.0)
    if data.validation_size:
        raise checks.InputError(
            f"{data.name} holds {data.validation_size} samples out already: expected none so far"
        )
    rng, y = np.random.default_rng([seed, 4]), data.train[1].cpu()
    drawn = [rng.permutation(own) for own in _members(data, y)]
    held = _in_order([own[: round(share * len(own))] for own in drawn])
    kept = torch.from_numpy(np.setdiff1d(np.arange(len(y)), held))
    if not len(held) or len(y[kept].unique()) < len(drawn):
        raise checks.InputError(
            f"validation_of_train = {share!r}: of {data.name}'s {len(y)} training samples it takes "
            f"{len(held)}; expected a share that leaves some of every class on both sides"
        )
    apart, train = _at(data.train, held), _at(data.train, kept)
    return replace(
        data,
        train=train,
        test=(torch.cat([data.test[0], apart[0]]), torch.cat([data.test[1], apart[1]])),
        provenance=f"{data.provenance}; {len(held)} training samples set aside for validation",
        validation_size=len(held),
    )


def subsample(data: Dataset, *, train: int = 0, test: int = 0, seed: int = 0) -> Dataset:
    """``data`` with ``train`` training samples and ``test`` test samples, as many of each class as
    of any other; 0: all. Of those held out for validation at most ``test`` are kept too.

    For trying things at a size that a laptop bears. A smaller part is within a larger one of the
    same seed, and samples keep their order. Raises InputError if a class has too few.
    """
    for what, n in (("train_images", train), ("test_images", test)):
        checks.count(what, n, 0)
    if not train and not test:
        return data
    rng = np.random.default_rng([seed, 5])
    (y, both), end = (data.train[1], data.test[1]), len(data.test[1]) - data.validation_size

    def drawn(labels: Tensor, name: str, n: int) -> Tensor:
        shuffled = [rng.permutation(own) for own in _members(data, labels)]
        more = [n // len(shuffled) + (c < n % len(shuffled)) for c in range(len(shuffled))]
        return _first(data, shuffled, more, name) if n else torch.arange(len(labels))

    trained = drawn(y, f"train_images = {train}", train)
    tested = drawn(both[:end], f"test_images = {test}", test)
    held = drawn(both[end:], f"test_images = {test}", min(test, data.validation_size))
    sizes = f"{len(trained)} of the training and {len(tested)} of the test samples"
    return replace(
        data,
        train=_at(data.train, trained) if train else data.train,
        test=_at(data.test, torch.cat([tested, held + end])) if test else data.test,
        provenance=f"{data.provenance}; {sizes}",
        validation_size=len(held),
    )


def head_of_each_class(
    data: Dataset, *, name: str, train: int, test: int, classes: int | None = None
) -> Dataset:
    """The first ``train`` and ``test`` samples of the first ``classes`` classes (default: all).

    Samples keep their order, so the same data give the same part on every machine. Raises
    InputError if a class has too few samples.
    """
    names = data.classes[:classes]

    def part(side: str, pair: Pair, n: int) -> Pair:
        members = _members(data, pair[1])[: len(names)]
        return _at(pair, _first(data, members, [n] * len(names), f"{side} = {n} of each class"))

    one, other = part("train", data.train, train), part("test", data.test, test)
    sizes = f"the first {train} train and {test} test samples a class"
    return Dataset(name, one, other, names, f"{data.provenance}; {sizes}", data.bounds)


def _members(data: Dataset, y: Tensor) -> list[np.ndarray]:
    """The indices of each class's samples."""
    return [np.flatnonzero(y.cpu().numpy() == c) for c in range(len(data.classes))]


def _first(data: Dataset, members: list[np.ndarray], sizes: list[int], asked: str) -> Tensor:
    """Sorted indices of the first so many of each class; InputError if there are none such."""
    for c, (own, n) in enumerate(zip(members, sizes, strict=True)):
        if not 0 < n <= len(own):
            raise checks.InputError(
                f"{asked}: that is {n} samples of class {c} ({data.classes[c]}) of {data.name}, "
                f"which has {len(own)} there; ask for another number, or give the whole data set"
            )
    return _in_order([own[:n] for own, n in zip(members, sizes, strict=True)])


def _in_order(members: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.sort(np.concatenate(members)))


def _at(pair: Pair, index: Tensor) -> Pair:
    at = index.to(pair[0].device)
    return pair[0][at], pair[1][at]
