"""What is learned from, and which part of it is to be forgotten.

A :class:`Dataset` is images (or any tensors) with labels, where they come from and a hash of their
content. A :class:`Split` is one forgetting request: index sets, written once per run, whose digest
every later stage checks. Original is trained on ``retain + forget`` *by
construction*, so "forgetting" a sample that was never trained on cannot be expressed - a defect
found in published code, where 440 of 4,500 forget samples had never been seen.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from rurklib import checks, tensors
from rurklib.tensors import Pair

PARTS = ("retain", "forget", "validation", "test", "held_out")
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
        if checks.count("validation_size", self.validation_size, 0) >= len(self.test[0]):
            raise checks.InputError(
                f"{self.name}: all {len(self.test[0])} test samples are for validation "
                f"(validation_size = {self.validation_size}); expected some left to test on"
            )

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
        for name in PARTS:
            if min(getattr(self, name), default=0) < 0:  # -1 would be the last sample once more
                raise checks.InputError(
                    f"split: {name} holds {min(getattr(self, name))}: expected indices from 0"
                )
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
