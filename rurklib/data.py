"""What is learned from, and which part of it is to be forgotten.

A :class:`Dataset` is images (or any tensors) with labels, where they come from and a hash of their
content. A :class:`Split` is one forgetting request: index sets, written once per run, whose digest
every later stage checks. Original is trained on ``retain + forget`` *by construction*, so nobody
can ask to forget a sample that was never trained on. Published code does: in one repository 440 of
4,500 forget samples had never been seen.

The paper forgets a random half of one class. :func:`forget_part_of_a_class` also takes samples of
any class, and those that are hardest or easiest to tell from other classes.

Three data sets come with scikit-learn: handwritten digits, Iris, breast cancer. A fixed seed draws,
class by class, which samples train and which test. The tables' numbers are read on fixed scales,
wide enough for any value, so every input lies in [0, 1] and no statistic of a training sample gets
into a re-trained model; tau is in those units.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rurklib import checks, tensors
from rurklib.tensors import Pair

ANY = -1  # as a forget class: samples of any class


@dataclass(frozen=True)
class Dataset:
    """Samples to train and to test on.

    ``train`` and ``test`` are pairs (x [n, ...], y int64 [n]); ``x`` is uint8 (read as x / 255
    where it is used, a quarter of the memory of floats) or floating point inside ``bounds``
    (None: unbounded). ``provenance`` says in a sentence where the data come from. The last
    ``validation_size`` test samples were taken from the training side
    (:func:`rurklib.data.hold_out_validation`): a split's validation part is then these, and nothing
    but these.
    """

    name: str
    train: Pair
    test: Pair
    classes: tuple[str, ...]
    provenance: str
    bounds: tensors.Bounds = (0.0, 1.0)
    validation_size: int = 0

    def __post_init__(self) -> None:
        for part, (x, y) in (("train", self.train), ("test", self.test)):
            checks.inputs(x, self.bounds, f"{self.name} {part} x")
            checks.labels(y, len(x), len(self.classes), f"{self.name} {part} y")

    @cached_property
    def digest(self) -> str:
        """SHA-256 of every sample and label in order, with shapes and dtypes (16 hex digits)."""
        sha = hashlib.sha256()
        for t in (*self.train, *self.test):
            sha.update(f"{t.dtype}{tuple(t.shape)}".encode())
            sha.update(t.detach().cpu().contiguous().numpy().data)  # its bytes, uncopied
        return sha.hexdigest()[:16]

    def to(self, device: torch.device | str) -> Dataset:
        """The same data on another device."""
        train, test = ((x.to(device), y.to(device)) for x, y in (self.train, self.test))
        return replace(self, train=train, test=test)


@dataclass(frozen=True)
class Split:
    """Index sets of one forgetting request.

    ``retain`` and ``forget`` index ``dataset.train``; ``validation`` (for choosing
    hyper-parameters), ``test`` and ``held_out`` (the test samples of the forget class: like the
    forget samples, but never trained on) index ``dataset.test``. A ``forget_class`` of ANY says
    that samples of every class are forgotten; held out is then all of ``test``.
    """

    dataset_digest: str
    seed: int
    forget_class: int
    retain: tuple[int, ...]
    forget: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]
    held_out: tuple[int, ...]

    def __post_init__(self) -> None:
        for name in ("retain", "forget", "test"):
            if not getattr(self, name):
                raise checks.InputError(f"split: {name} is empty; choose another forget share")
        for name in ("retain", "forget", "validation", "test"):
            if min(getattr(self, name), default=0) < 0:  # -1 would be the last sample once more
                raise checks.InputError(f"split: {name} holds an index below 0")
        for a, b in (("retain", "forget"), ("validation", "test")):
            if both := set(getattr(self, a)).intersection(getattr(self, b)):
                raise checks.InputError(f"split: {len(both)} samples are in {a} and in {b}")

    @property
    def original(self) -> tuple[int, ...]:
        """What Original is trained on: retain and forget together, nothing else."""
        return tuple(sorted(self.retain + self.forget))

    @property
    def kept_test(self) -> tuple[int, ...]:
        """The test samples of the other classes: what is to be known when a class is forgotten."""
        return tuple(sorted(set(self.test) - set(self.held_out)))

    def of_class(self, y: Tensor) -> Tensor:
        """Which labels are of the forget class, bool like ``y``."""
        return (y == self.forget_class) | (self.forget_class == ANY)

    @property
    def digest(self) -> str:
        """SHA-256 of all index sets, the seed and the data set's digest (16 hex digits)."""
        return hashlib.sha256(repr(asdict(self)).encode()).hexdigest()[:16]

    def pair(self, dataset: Dataset, part: str) -> Pair:
        """The samples of one part, by name: ``retain, forget, original`` of the training side,
        ``validation, test, held_out, kept_test`` of the test side."""
        side = dataset.train if part in ("retain", "forget", "original") else dataset.test
        return _at(side, getattr(self, part))


ORDERS = ("random", "hard", "easy")


def forget_part_of_a_class(
    dataset: Dataset,
    *,
    forget_class: int,
    forget_share: float = 0.5,
    forget_order: str = "random",
    validation_share: float = 1 / 3,
    seed: int = 0,
) -> Split:
    """Forget a share of one class's training samples: at random, as in the paper.

    ``forget_class`` -1 (``ANY``) takes the share from all training samples, of whatever class.
    ``forget_order`` "hard" or "easy" takes the samples of highest or lowest :func:`difficulty`.

    A forgotten sample takes its identical copies in the training set with it, if it has any: what
    is kept once more can't be forgotten.
    ``validation_share`` of the test side is set aside for choosing hyper-parameters, drawn from
    every class alike, so that nothing is ever tuned on the samples that are reported. Where the
    data set holds samples out for it, these are the validation part, and all others to test on.
    Raises InputError for an unknown class, order or share, or if nothing is left to hold out.
    """
    if forget_class not in range(ANY, len(dataset.classes)):
        known = f"0 ... {len(dataset.classes) - 1}, or -1 for samples of any"
        raise checks.InputError(f"forget_class = {forget_class}: {dataset.name} has {known}")
    checks.one_of("forget_order", forget_order, ORDERS)
    checks.number("forget_share", forget_share, 0.0, 1.0)
    rng = np.random.default_rng([seed, 1])
    members = rng.permutation(_members(dataset.train[1].cpu().numpy(), forget_class))
    if forget_order != "random":
        hardness = difficulty(*dataset.train, members)
        members = members[np.argsort(-hardness if forget_order == "hard" else hardness)]
    drawn = members[: round(forget_share * len(members))]
    tests, n = dataset.test[1], len(dataset.test[1])
    validation = _of_each_class(tests, _shares(dataset, tests, validation_share), rng)
    if dataset.validation_size:
        validation = np.arange(n - dataset.validation_size, n)
    test = np.setdiff1d(np.arange(n), validation)
    split = _split(dataset, seed, forget_class, drawn, validation, test)
    if not split.held_out:
        raise checks.InputError(f"{dataset.name}: no test sample of class {forget_class} to spare")
    return split


def difficulty(x: Tensor, y: Tensor, of: np.ndarray) -> np.ndarray:
    """How hard samples are to tell from other classes, without training anything: [len(of)], > 0.

    Mean L2 distance to the nearest three samples of the same class over that to the nearest three
    of others: a stand-in for memorisation (Feldman 2020). x [n, ...], y int64 [n], ``of`` indices.
    """
    flat, scores = tensors.as_float(x).flatten(1).double(), []
    for index in torch.from_numpy(of).to(x.device).split(256):
        apart = torch.cdist(flat[index], flat)
        apart[torch.arange(len(index)), index] = torch.inf  # not a neighbour of itself
        same = y[index][:, None] == y[None]
        sides = (torch.where(kind, apart, torch.inf) for kind in (same, ~same))
        near, far = (side.topk(3, largest=False).values.mean(1) for side in sides)
        scores.append(near / far)
    return torch.cat(scores).cpu().numpy()


def rehearsed(split: Split, dataset: Dataset) -> Split:
    """A request like ``split`` that concerns other people, for choosing hyper-parameters.

    As many samples of the same class as ``split`` forgets, of those that it *retains*, are
    forgotten (with their identical copies); if it retains none, all of the next class. The test
    part is the validation part of ``split``, whose own forget and test samples judge nothing here.
    """
    forget_class, retain = split.forget_class, np.array(split.retain)
    y = dataset.train[1].cpu().numpy()[retain]
    if forget_class != ANY and not (y == forget_class).any():
        forget_class = (forget_class + 1) % len(dataset.classes)
    rng = np.random.default_rng([split.seed, 2])
    members = rng.permutation(retain[_members(y, forget_class)])
    whole = forget_class != split.forget_class
    drawn = members if whole else members[: len(split.forget)]
    nothing, test = np.array([], dtype=np.int64), np.array(split.validation, dtype=np.int64)
    return _split(dataset, split.seed, forget_class, drawn, nothing, test)


def _split(
    dataset: Dataset,
    seed: int,
    forget_class: int,
    drawn: np.ndarray,
    validation: np.ndarray,
    test: np.ndarray,
) -> Split:
    """The split that forgets the samples drawn, and what equals one of them byte by byte."""
    x = dataset.train[0]
    copied = tensors.copies(x, x[torch.from_numpy(drawn).to(x.device)]).numpy()
    held_out = test[_members(dataset.test[1].cpu().numpy()[test], forget_class)]
    parts = np.flatnonzero(~copied), np.flatnonzero(copied), validation, test, held_out
    return Split(dataset.digest, seed, forget_class, *(tuple(part.tolist()) for part in parts))


def _members(y: np.ndarray, c: int) -> np.ndarray:
    """The places of class c in the labels ``y``; of ANY, all places."""
    return np.flatnonzero((y == c) | (c == ANY))


def _shares(data: Dataset, y: Tensor, share: float) -> list[int]:
    """How many samples of each class a share of those with labels ``y`` is."""
    return [round(share * n) for n in y.bincount(minlength=len(data.classes)).tolist()]


def _of_each_class(
    y: Tensor, sizes: Sequence[int], rng: np.random.Generator | None = None
) -> np.ndarray:
    """Sorted places in ``y`` of so many samples of each class: the first, or drawn."""
    places = []
    for c, size in enumerate(sizes):
        own = _members(y.cpu().numpy(), c)
        if size > len(own):
            raise checks.InputError(f"{size} samples of class {c} asked for: it has {len(own)}")
        places.append((own if rng is None else rng.permutation(own))[:size])
    return np.sort(np.concatenate(places))


def hold_out_validation(data: Dataset, share: float, *, seed: int = 0) -> Dataset:
    """``data`` with a share of every class's training samples held out for validation.

    They stand behind the test samples, where a split takes them for its validation part; the paper
    holds out 20 % of CIFAR-10 so, and reports on the whole official test set.
    """
    y = data.train[1]
    held = _of_each_class(y, _shares(data, y, share), np.random.default_rng([seed, 4]))
    (x, y_test), (apart, y_apart) = data.test, _at(data.train, held)
    return replace(
        data,
        train=_at(data.train, np.setdiff1d(np.arange(len(y)), held)),
        test=(torch.cat([x, apart]), torch.cat([y_test, y_apart])),
        provenance=f"{data.provenance}; {len(held)} training samples set aside for validation",
        validation_size=len(held),
    )


def subsample(data: Dataset, *, train: int = 0, test: int = 0, seed: int = 0) -> Dataset:
    """``data`` with ``train`` training samples and ``test`` test samples, as many of each class as
    of any other; 0: all. Of those held out for validation at most ``test`` are kept too.

    For trying things at a size that a laptop bears. A smaller part is within a larger one of the
    same seed, and samples keep their order. Raises InputError if a class has too few.
    """
    if not train and not test:
        return data
    rng, k, y = np.random.default_rng([seed, 5]), len(data.classes), data.test[1]
    end = len(y) - data.validation_size

    def drawn(y: Tensor, n: int) -> np.ndarray:
        some = _of_each_class(y, [n // k + (c < n % k) for c in range(k)], rng)
        return some if n else np.arange(len(y))  # drawn all the same: one side moves no other

    trained, tested = drawn(data.train[1], train), drawn(y[:end], test)
    held = drawn(y[end:], min(test, data.validation_size))
    sizes = f"{len(trained)} of the training and {len(tested)} of the test samples"
    return replace(
        data,
        train=_at(data.train, trained),
        test=_at(data.test, np.concatenate([tested, held + end])),
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
    parts = (data.train, train), (data.test, test)
    one, other = (_at(pair, _of_each_class(pair[1], [n] * len(names))) for pair, n in parts)
    sizes = f"the first {train} train and {test} test samples a class"
    return Dataset(name, one, other, names, f"{data.provenance}; {sizes}", data.bounds)


def _at(pair: Pair, index: Any) -> Pair:
    at = torch.as_tensor(index, dtype=torch.int64, device=pair[1].device)
    return pair[0][at], pair[1][at]


IRIS_FEATURES = ("sepal length", "sepal width", "petal length", "petal width")
IRIS_SCALES = ((4.0, 8.0), (1.5, 4.5), (0.0, 8.0), (0.0, 3.0))  # cm that are read as 0 and as 1

# What is read as 1, in the order of the columns: mean, standard error and worst of radius, texture,
# perimeter, area, smoothness, compactness, concavity, concave points, symmetry, fractal dimension.
CANCER_SCALES = (
    *(30, 40, 200, 3000, 0.2, 0.4, 0.5, 0.3, 0.4, 0.1),
    *(3, 5, 30, 600, 0.04, 0.2, 0.5, 0.1, 0.1, 0.04),
    *(40, 50, 300, 5000, 0.3, 2, 2, 0.3, 0.7, 0.3),
)


def digits(seed: int = 0) -> Dataset:
    """1,797 handwritten digits, real images: x uint8 [n, 1, 8, 8], half of every class to train on.

    Grey levels 0 ... 16 are kept as bytes (16 becomes 255), so that digits are images like any
    other. Source: E. Alpaydin & C. Kaynak, "Optical Recognition of Handwritten Digits", UCI (test
    part).
    """
    from sklearn.datasets import load_digits  # a second of import time that only this needs

    found = load_digits()
    # Reshaped, not indexed by None: strides decide in which order PyTorch's convolutions add up.
    x = np.round(found.images * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    source = "load_digits (UCI Optical Recognition of Handwritten Digits)"
    return _dataset("digits", x, found, lambda own: own[: (len(own) + 1) // 2], seed, source)


def iris(features: Sequence[int] = (0, 1, 2, 3), seed: int = 0) -> Dataset:
    """150 flowers of three species: x float32 [120, features] and [30, features] in [0, 1].

    ``features`` index :data:`IRIS_FEATURES`. Two of them make a picture; with the sepal's two,
    versicolor and virginica overlap, so that something has to be learnt by heart. The same forty
    flowers of each species train whatever the features. tau 0.05 is 2 mm of a sepal's length but 4
    mm of a petal's. Source: R. A. Fisher,
    "The use of multiple measurements in taxonomic problems", 1936.
    """
    chosen = list(features)
    from sklearn.datasets import load_iris

    found = load_iris()
    low, high = np.array(IRIS_SCALES).T[:, chosen]
    x = ((found.data[:, chosen] - low) / (high - low)).astype(np.float32)
    source = f"load_iris (UCI Iris; {', '.join(IRIS_FEATURES[f] for f in chosen)})"
    return _dataset("iris", x, found, lambda own: own[:40], seed, source)


def breast_cancer(seed: int = 0) -> Dataset:
    """569 tumours, thirty sizes and shapes of cell nuclei: x float32 [380, 30] and [189, 30] in
    [0, 1]; class 0 is malignant (212 tumours), class 1 benign (357).

    tau 0.02 is 0.6 of a nucleus's radius, which is 14 on average. Source: Street, Wolberg &
    Mangasarian, "Nuclear feature extraction for breast tumor diagnosis", 1993.
    """
    from sklearn.datasets import load_breast_cancer

    found = load_breast_cancer()
    x = (found.data / np.array(CANCER_SCALES)).astype(np.float32)
    source = "load_breast_cancer (UCI Breast Cancer Wisconsin, Diagnostic)"
    return _dataset("breast-cancer", x, found, lambda own: own[len(own) // 3 :], seed, source)


def _dataset(
    name: str, x: np.ndarray, found: Any, trained: Callable, seed: int, source: str
) -> Dataset:
    """``trained`` chooses from each class's samples, in a random order, those to train on."""
    rng = np.random.default_rng([seed, 0])
    y = found.target.astype(np.int64)
    members = [rng.permutation(_members(y, c)) for c in range(len(found.target_names))]
    train = np.sort(np.concatenate([trained(own) for own in members]))
    whole = torch.from_numpy(x), torch.from_numpy(y)
    one, other = (_at(whole, part) for part in (train, np.setdiff1d(np.arange(len(y)), train)))
    return Dataset(name, one, other, tuple(map(str, found.target_names)), f"scikit-learn {source}")
