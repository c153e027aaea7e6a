"""Data that come as files: each reader returns a :class:`rurklib.data.Dataset`.

CIFAR-10 and Fashion-MNIST (Krizhevsky 2009; Xiao, Rasul & Vollgraf 2017) are downloaded and read by
torchvision. CIFAR-10 is a pickle whose MD5 torchvision checks; nothing else is unpickled.
Validation parts (MedMNIST's ``val_images``, a ``val.tsv``) are not read: a split takes its
validation part from the test side, for every data set alike.

**Texts are embedded by a rule that has seen no text.** A vocabulary, or word vectors that were
learnt, would have seen the forget samples and would carry them into the re-trained references. So a
word's vector is signs, bits of a SHAKE-256 hash of the word: the same on every machine and for
every model, with nothing to learn or leak. Two words differ in half of their signs. What a model
makes of them, a learnt 1x1 convolution first, can be forgotten. tau 1 is the size of a sign.
"""

import csv
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from rurklib.checks import InputError
from rurklib.data import Dataset, head_of_each_class
from rurklib.study import store
from rurklib.tensors import Pair

TRAIN, TEST = ("train_images", "train_labels"), ("test_images", "test_labels")  # MedMNIST's keys
ARRAY = "one array (.npy)"
TOKEN = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")  # a word, or one punctuation mark


def said(error: BaseException) -> str:
    """What an error says, in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


@contextmanager
def reading(path: Path, mend: str) -> Iterator[None]:
    """Raise what a library raises while it reads ``path`` as an InputError of one line."""
    try:
        yield
    except Exception as error:  # OSError, BadZipFile, EOFError, ValueError (objects) ...
        raise InputError(f"{path} can't be read ({said(error)}): {mend}") from error


def cache_folder() -> Path:
    """Where downloads and decoded images are kept between runs: ``$RURK_CACHE``, or
    ``~/.cache/rurklib``; it may not exist yet and can always be deleted."""
    return Path(os.environ.get("RURK_CACHE") or Path.home() / ".cache" / "rurklib").expanduser()


def cifar10(path: str | Path = "") -> Dataset:
    """CIFAR-10: x uint8 [50000, 3, 32, 32] and [10000, 3, 32, 32], in official order; from a
    ``.npz`` file, a folder with ``cifar-10-batches-py``, or else 170 MB that are downloaded once.
    """
    return _from_torchvision("CIFAR10", "cifar10", path)


def cifar5(path: str | Path = "") -> Dataset:
    """Small CIFAR-5 (Golatkar et al. 2020): the first 200 train and the first 200 test images of
    the first five classes of :func:`cifar10`."""
    return head_of_each_class(cifar10(path), name="cifar5", classes=5, train=200, test=200)


def fashion_mnist(path: str | Path = "") -> Dataset:
    """Fashion-MNIST: x uint8 [60000, 1, 28, 28] and [10000, 1, 28, 28], in official order; from a
    ``.npz`` file, a folder with ``FashionMNIST/raw``, or else 31 MB that are downloaded once.
    """
    return _from_torchvision("FashionMNIST", "fashion-mnist", path)


def fashion_small(path: str | Path = "") -> Dataset:
    """The first 200 train and the first 200 test images of each class of :func:`fashion_mnist`."""
    return head_of_each_class(fashion_mnist(path), name="fashion-small", train=200, test=200)


def _from_torchvision(kind: str, name: str, path: str | Path) -> Dataset:
    from torchvision import datasets

    place = Path(path).expanduser() if str(path) else cache_folder() / name
    if place.is_file() or place.suffix == ".npz":
        data = npz(place)
        return replace(data, name=name, provenance=f"{name}, {data.provenance}")
    with reading(place, "check path or the network, or use --set path=FILE.npz"):
        read = partial(getattr(datasets, kind), place, download=not str(path))
        sides = read(train=True), read(train=False)
    train, test = (_pair(name, np.asarray(s.data), np.asarray(s.targets)) for s in sides)
    return Dataset(name, train, test, tuple(sides[0].classes), f"{name}, by torchvision")


def image_folder(path: str | Path, size: int = 32) -> Dataset:
    """A folder with ``train/<class>/`` and ``test/<class>/`` (or ``val``): x uint8 [n, 3, size,
    size], made RGB, cut to a centred square and resized.

    Classes and images are those of torchvision's ImageFolder, in its order. All are held in memory.
    They are kept decoded in :func:`cache_folder` until one is added, removed or touched.
    """
    from torchvision.datasets import ImageFolder

    root = _place(path, "FOLDER").absolute()
    other = "test" if (root / "test").is_dir() else "val"
    read = partial(ImageFolder, loader=partial(_decoded, size=size))
    with reading(root, "expected images in train/<class>/ and test/<class>/ (or val/)"):
        sides = {"train": read(root / "train"), "test": read(root / other)}
    classes, tested = (side.classes for side in sides.values())
    if len(classes) < 2 or classes != tested:
        raise InputError(
            f"{root}: {len(classes)} classes in train, {len(tested)} in {other}, "
            f"{len({*classes} & {*tested})} in both: expected the same, at least two"
        )

    def decode() -> dict[str, np.ndarray]:
        return {name: np.stack([x for x, _ in side]) for name, side in sides.items()}

    listed = [file for side in sides.values() for file, _ in side.samples]
    stats = [[file, os.path.getsize(file), os.path.getmtime(file)] for file in listed]
    inputs = {"files": stats, "size": size}
    kept = cache_folder() / "images" / f"{store.checksum(inputs)}.npz"
    x = store.make(kept, "images", inputs, decode)
    train, test = ((torch.from_numpy(x[n]), torch.tensor(s.targets)) for n, s in sides.items())
    return Dataset(root.name, train, test, tuple(classes), f"images in {root.name}, {size}x{size}")


def _decoded(file: str, size: int) -> np.ndarray:
    """One image as uint8 [3, size, size]."""
    from PIL import Image, ImageOps

    with reading(Path(file), "mend or remove it"), Image.open(file) as image:
        # A JPEG is unpacked at 1/2, 1/4 or 1/8, where twice the size that is wanted is left.
        image.draft("RGB", (2 * size, 2 * size))
        square = ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.BILINEAR)
    return np.asarray(square).transpose(2, 0, 1)


def npz(path: str | Path) -> Dataset:
    """A ``.npz`` file with the keys of MedMNIST (Yang et al. 2023).

    ``train_images``, ``test_images``: uint8, or floats in [0, 1], [n, height, width] or [n, height,
    width, 1 or 3]. ``train_labels``, ``test_labels``: whole numbers 0 ... classes - 1, [n] or
    [n, 1]. ``class_names`` (optional): one string a class.
    """
    file = _place(path, "FILE.npz")
    found = _load(file, (*TRAIN, *TEST, "class_names"), TRAIN + TEST)
    train, test = (_pair(f"{file}, {x}", found[x], found[y]) for x, y in (TRAIN, TEST))
    shape, test_shape = (tuple(x.shape[1:]) for x, _ in (train, test))
    numbers = train[1].unique().tolist()
    classes = tuple(map(str, found.get("class_names", numbers)))
    if shape != test_shape or shape[0] not in (1, 3):
        raise InputError(
            f"{file}: images are {shape}, to test on {test_shape}: expected one shape, grey or RGB"
        )
    if numbers != list(range(len(classes))) or len(classes) < 2:
        raise InputError(
            f"{file}: train_labels hold {str(numbers[:10])[1:-1]}: expected every class of 0 ... "
            f"{max(len(classes) - 1, 1)} and no other"
        )
    return Dataset(file.stem, train, test, classes, f"read from {file.name}")


def read_samples(path: Path) -> Pair:
    """Samples and labels of a ``.npz`` file: ``x``, ``y``, or ``train_images``, ``train_labels``
    as :func:`npz` has. x is uint8 (read as x / 255) or floats, [n, ...], as the model takes it."""
    found = _load(path, ("x", "y"), TRAIN)
    x, y = found.values()
    return _pair(str(path), x, y, is_image="x" not in found)


def read_indices(path: Path, n: int) -> Tensor:
    """Indices of samples from a ``.npy`` file: 0 ... n - 1, each once, or a boolean mask [n]."""
    found = _load(path, (ARRAY,))[ARRAY]
    if found.dtype == bool and found.shape == (n,):
        found = np.flatnonzero(found)
    if found.dtype.kind not in "iu" or found.ndim != 1 or len(found) == 0:
        raise InputError(
            f"{path} is {found.dtype} {found.shape}: expected indices of samples, whole numbers [k]"
        )
    low, high, twice = found.min(), found.max(), len(found) - len(np.unique(found))
    if low < 0 or high >= n or twice:
        raise InputError(
            f"{path} holds {low} ... {high}, {twice} of them twice: expected each once, in 0 ... "
            f"{n - 1}; of a mask of 0 and 1 use .astype(bool)"
        )
    return torch.from_numpy(found.astype(np.int64))


def _place(path: str | Path, example: str) -> Path:
    if not str(path):
        raise InputError(f"path is empty: name the data with --set path={example}")
    return Path(path).expanduser()


def _load(file: Path, *choices: tuple[str, ...]) -> dict[str, np.ndarray]:
    """The arrays of the first of ``choices`` that a file of NumPy's has whole, by name."""
    with reading(file, "write it with numpy.savez (numpy.save for indices), nothing pickled"):
        found = np.load(file, allow_pickle=False)
        held = {ARRAY: found} if isinstance(found, np.ndarray) else found
        for names in choices:
            if {*names} <= {*held}:
                return {name: held[name] for name in names}
    wanted = " or ".join(", ".join(names) for names in choices)
    raise InputError(f"{file} has the arrays {', '.join([*held][:8])}: expected {wanted}")


def _pair(what: str, x: np.ndarray, y: np.ndarray, is_image: bool = True) -> Pair:
    """Samples uint8 or float32, images with their channels first; labels int64 [n]."""
    n = len(x) if x.ndim > 1 and (x.dtype == np.uint8 or x.dtype.kind == "f") else -1
    if n < 0 or y.dtype.kind not in "iu" or y.shape not in ((n,), (n, 1)):
        raise InputError(
            f"{what}: samples are {x.dtype} {x.shape}, labels {y.dtype} {y.shape}: expected uint8 "
            "or floats [n, ...], and one whole number each, [n] or [n, 1]"
        )
    if is_image and x.ndim == 3:
        x = x[:, None]
    elif is_image and x.ndim == 4 and x.shape[3] in (1, 3):
        x = x.transpose(0, 3, 1, 2)
    x = np.ascontiguousarray(x, np.uint8 if x.dtype == np.uint8 else np.float32)
    return torch.from_numpy(x), torch.from_numpy(y.reshape(n).astype(np.int64))


def text(path: str | Path, *, dim: int = 64, length: int = 40) -> Dataset:
    """Labelled texts: x float32 [n, dim, length], a column of signs for each of the first
    ``length`` words or marks (:func:`vector`), zero columns behind the last; no bounds.

    ``path`` is a folder with ``train.tsv`` (and ``test.tsv``), or one ``.tsv`` file: UTF-8, without
    a header, in each line label TAB text. Without a test side a third of each class is drawn for
    it. A text that is there twice (the same columns) would be retained and forgotten at once, so
    the first is kept, train before test; ``provenance`` says how many went.
    """
    place = _place(path, "FOLDER")
    files = [place / "train.tsv"] if place.is_dir() else [place]
    files += [file for file in [place / "test.tsv"] if file.is_file()]
    form = {"sep": "\t", "quoting": csv.QUOTE_NONE, "dtype": str, "keep_default_na": False}
    form |= {"names": ["label", "text"], "usecols": [0, 1], "index_col": False}
    with reading(place, "expected UTF-8, in each line label TAB text"):
        sides = [pd.read_csv(file, **form) for file in files]
    rows = pd.concat(sides, keys=range(len(files)), names=["side"]).reset_index("side")
    rows["window"] = [tuple(TOKEN.findall(words.lower())[:length]) for words in rows["text"]]
    kept = rows[rows["window"].map(len) > 0].drop_duplicates("window")
    labels, side_of = kept["label"].str.strip().to_numpy(str), kept["side"].to_numpy().copy()
    if len(files) == 1:
        rng = np.random.default_rng([0, 0])
        for name in np.unique(labels):
            members = rng.permutation(np.flatnonzero(labels == name))
            side_of[members[: len(members) // 3]] = 1
    classes = np.unique(labels[side_of == 0])
    if len(classes) < 2 or not np.isin(labels, classes).all():
        raise InputError(
            f"{place} has the labels {', '.join(np.unique(labels)[:10])}, of which {len(classes)} "
            "are trained on: expected two or more, and all of them"
        )
    x = np.zeros((len(kept), dim, length), np.float32)
    for i, window in enumerate(kept["window"]):
        for j, word in enumerate(window):
            x[i, :, j] = vector(word, dim)
    every = torch.from_numpy(x), torch.from_numpy(np.searchsorted(classes, labels))
    train, test = ((every[0][side_of == k], every[1][side_of == k]) for k in (0, 1))
    source = f"the first {length} tokens in {place.name}, {len(rows) - len(kept)} repeats dropped"
    return Dataset(place.stem, train, test, tuple(classes.tolist()), source, bounds=None)


@cache
def vector(word: str, dim: int) -> np.ndarray:
    """The signs of a word, float32 [dim] of -1 and 1: bits of its SHAKE-256 digest."""
    digest = hashlib.shake_256(word.encode()).digest(-(-dim // 8))
    bits = np.unpackbits(np.frombuffer(digest, np.uint8))[:dim]
    return bits.astype(np.float32) * 2 - 1
