"""What is learned from, and which part of it is to be forgotten.

A :class:`Dataset` is images (or any tensors) with labels, where they come from and a hash of their
content. A :class:`Split` is one forgetting request: index sets, written once per run, whose digest
every later stage checks. Original is trained on ``retain + forget`` *by construction*, so nobody
can ask to forget a sample that was never trained on. Published code does: in one repository 440 of
4,500 forget samples had never been seen.

The paper forgets a random half of one class. :func:`forget_part_of_a_class` also takes samples of
any class, and those that are hardest or easiest to tell from other classes.

Some protocols hold images of the *training* side back for choosing hyper-parameters and report on
the whole official test set (the paper's CIFAR-10: 20 %, so 4,000 images a class are trained on).
:func:`hold_out_validation` moves them to the end of the test side, and a split takes them for its
validation part.

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
            both = set(getattr(self, b)).intersection(getattr(self, a))  # a may be a million
            if both:
                raise checks.InputError(f"split: {len(both)} samples are in {a} and in {b}")
        if set(self.held_out).difference(self.test):
            raise checks.InputError("split: held_out must be test samples of the forget class")

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
        index = torch.tensor(getattr(self, part), dtype=torch.int64, device=side[1].device)
        return side[0][index], side[1][index]


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
    Raises InputError for an unknown class or a share outside (0, 1].
    """
    checks.count("forget_class", forget_class, ANY)
    if forget_class >= len(dataset.classes):
        raise checks.InputError(
            f"forget_class = {forget_class}: {dataset.name} has classes 0 ... "
            f"{len(dataset.classes) - 1} ({', '.join(dataset.classes)}); -1 takes samples of any"
        )
    checks.one_of("forget_order", forget_order, ORDERS)
    checks.number("forget_share", forget_share, 0.0, 1.0)
    checks.number("validation_share", validation_share, 0.0, 0.9)
    rng = np.random.default_rng([seed, 1])
    y_train, y_test = dataset.train[1].cpu().numpy(), dataset.test[1].cpu().numpy()
    members = rng.permutation(np.flatnonzero((y_train == forget_class) | (forget_class == ANY)))
    if forget_order != "random":
        hardness = difficulty(*dataset.train, members)
        members = members[np.argsort(-hardness if forget_order == "hard" else hardness)]
    drawn = members[: round(forget_share * len(members))]
    tests = [rng.permutation(np.flatnonzero(y_test == c)) for c in range(len(dataset.classes))]
    validation = np.sort(np.concatenate([c[: round(validation_share * len(c))] for c in tests]))
    if dataset.validation_size:
        validation = np.arange(len(y_test) - dataset.validation_size, len(y_test))
    test = np.setdiff1d(np.arange(len(y_test)), validation)
    split = _split(dataset, seed, forget_class, drawn, validation, test)
    if not split.held_out:
        raise checks.InputError(
            f"{dataset.name} has no test sample of class {forget_class} "
            f"({dataset.classes[forget_class]}) to spare: held-out samples are the control"
        )
    return split


def difficulty(x: Tensor, y: Tensor, of: np.ndarray) -> np.ndarray:
    """How hard samples are to tell from other classes, without training anything: [len(of)], > 0.

    Mean L2 distance to the nearest three samples of the same class over that to the nearest three
    of others: a stand-in for memorisation (Feldman 2020), crude where pixels say little. Shapes:
    x [n, ...], y int64 [n], ``of`` indices into them.
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
    members = rng.permutation(retain[(y == forget_class) | (forget_class == ANY)])
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
    x, y_test = dataset.train[0], dataset.test[1].cpu().numpy()
    wanted = x[torch.from_numpy(drawn).to(x.device)]
    copied = tensors.copies(x, wanted).numpy()
    held_out = test[(y_test[test] == forget_class) | (forget_class == ANY)]
    parts = np.flatnonzero(~copied), np.flatnonzero(copied), validation, test, held_out
    return Split(dataset.digest, seed, forget_class, *(tuple(part.tolist()) for part in parts))


def hold_out_validation(data: Dataset, share: float, *, seed: int = 0) -> Dataset:
    """``data`` with a share in (0, 1) of every class's training samples held out for validation.

    They stand behind the test samples; ``validation_size`` says how many they are. Raises
    InputError for another share.
    """
    checks.number("validation_of_train", share, 0.0, 1.0)
    rng, y = np.random.default_rng([seed, 4]), data.train[1]
    drawn = [rng.permutation(own) for own in _members(data, y)]
    held = _in_order([own[: round(share * len(own))] for own in drawn])
    kept = torch.from_numpy(np.setdiff1d(np.arange(len(y)), held))
    (x, y_test), (apart, y_apart) = data.test, _at(data.train, held)
    return replace(
        data,
        train=_at(data.train, kept),
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
    rng = np.random.default_rng([seed, 5])
    (y, both), end = (data.train[1], data.test[1]), len(data.test[1]) - data.validation_size

    def drawn(labels: Tensor, name: str, n: int) -> Tensor:
        shuffled = [rng.permutation(own) for own in _members(data, labels)]
        sizes = [n // len(shuffled) + (c < n % len(shuffled)) for c in range(len(shuffled))]
        return _first(data, shuffled, sizes, name) if n else torch.arange(len(labels))

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
    mm of a petal's. Raises InputError for an unknown feature. Source: R. A. Fisher,
    "The use of multiple measurements in taxonomic problems", 1936.
    """
    chosen = list(features)
    if not chosen or not set(chosen) <= set(range(4)):
        raise checks.InputError(f"features = {features}: expected some of 0, 1, 2, 3")
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
    members = [rng.permutation(np.flatnonzero(y == c)) for c in range(len(found.target_names))]
    train = np.sort(np.concatenate([trained(own) for own in members]))
    one, other = (
        (torch.from_numpy(x[index]), torch.from_numpy(y[index]))
        for index in (train, np.setdiff1d(np.arange(len(y)), train))
    )
    return Dataset(name, one, other, tuple(map(str, found.target_names)), f"scikit-learn {source}")
