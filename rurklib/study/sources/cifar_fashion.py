"""CIFAR-10 and Fashion-MNIST: downloaded by torchvision, or read from a local copy.

Without a path, torchvision's downloader fetches the official files once into the cache folder and
checks their MD5. The files themselves are read here, a few lines each, for two reasons: nothing is
unpickled (torchvision's ``CIFAR10`` unpickles; the authors' *binary version* holds the same images
in the same order), and a local copy goes through the same lines as a download.

Sources: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009 (the authors
state no licence); Xiao, Rasul & Vollgraf, "Fashion-MNIST", arXiv 1708.07747 (MIT).
"""

import gzip
from pathlib import Path

import numpy as np
import torch

from rurklib.checks import InputError
from rurklib.data import Dataset, head_of_each_class
from rurklib.study.sources.image_folder import cache_folder
from rurklib.study.sources.npz import npz
from rurklib.tensors import Pair

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
CIFAR10_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
CIFAR10_FILES = (*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin")
CIFAR10_BYTES = 10_000 * (1 + 3 * 32 * 32)  # of each file: a label and three 32x32 planes an image

FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
           "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")  # fmt: skip
PLACES = ("", "cifar-10-batches-bin", "raw", "FashionMNIST/raw")  # where downloads put the files


def cifar10(path: str | Path = "") -> Dataset:
    """CIFAR-10: x uint8 [50000, 3, 32, 32] and [10000, 3, 32, 32], in official order.

    ``path`` is a ``.npz`` file as :func:`rurklib.study.sources.npz` reads it, or the folder
    ``cifar-10-batches-bin`` of the binary version; empty: 170 MB are downloaded once.
    """
    place = Path(path).expanduser() if str(path) else _downloaded("cifar10")
    if not place.is_dir():
        return _renamed(npz(place), "cifar10", CIFAR10, (3, 32, 32))
    files = [_find(place, name, "CIFAR-10") for name in CIFAR10_FILES]
    batches = [_read_batch(file) for file in files]
    x, y = (torch.cat(parts) for parts in zip(*batches[:-1], strict=True))
    source = f"CIFAR-10, read from {files[0].parent.name}"
    return Dataset("cifar10", (x, y), batches[-1], CIFAR10, source)


def cifar5(path: str | Path = "") -> Dataset:
    """Small CIFAR-5 (Golatkar et al. 2020): the first 200 train and the first 200 test images of
    the first five classes of :func:`cifar10`."""
    return head_of_each_class(cifar10(path), name="cifar5", classes=5, train=200, test=200)


def fashion_mnist(path: str | Path = "") -> Dataset:
    """Fashion-MNIST: x uint8 [60000, 1, 28, 28] and [10000, 1, 28, 28], in official order.

    ``path`` is a ``.npz`` file, or a folder with the four IDX files, gzipped or not (Debian's
    ``dataset-fashion-mnist`` puts them into /usr/share/datasets/fashion-mnist); empty: 31 MB are
    downloaded once.
    """
    place = Path(path).expanduser() if str(path) else _downloaded("fashion-mnist")
    if not place.is_dir():
        return _renamed(npz(place), "fashion-mnist", FASHION, (1, 28, 28))
    sides = []
    for part in ("train", "t10k"):
        x, y = (
            _read_idx(_find(place, f"{part}-{rest}-ubyte", "Fashion-MNIST"), ndim)
            for rest, ndim in (("images-idx3", 3), ("labels-idx1", 1))
        )
        sides.append((torch.from_numpy(x[:, None]), torch.from_numpy(y.astype(np.int64))))
    source = f"Fashion-MNIST, read from {place.name}"
    return Dataset("fashion-mnist", sides[0], sides[1], FASHION, source)


def _read_batch(file: Path) -> Pair:
    """One file of the CIFAR-10 binary version: rows of a label and 3 * 32 * 32 pixels."""
    raw = np.fromfile(file, np.uint8)
    if len(raw) == 0 or len(raw) % 3073:
        raise InputError(
            f"{file} has {len(raw)} bytes: expected a multiple of 3073 (a label and 3x32x32 pixels "
            "an image); it is cut off or not of the binary version, fetch it again"
        )
    rows = raw.reshape(-1, 3073)
    x = np.ascontiguousarray(rows[:, 1:]).reshape(-1, 3, 32, 32)
    return torch.from_numpy(x), torch.from_numpy(rows[:, 0].astype(np.int64))


def _read_idx(file: Path, ndim: int) -> np.ndarray:
    """One IDX file of bytes: 0, 0, 8, number of dimensions, each as uint32, then the values."""
    try:
        raw = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        if raw[:4] != bytes((0, 0, 8, ndim)):
            raise ValueError(f"it begins with {raw[:4].hex(' ')}, not 00 00 08 {ndim:02x}")
        shape = tuple(int(n) for n in np.frombuffer(raw, ">u4", ndim, offset=4))
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * ndim).reshape(shape).copy()
    except (OSError, EOFError, ValueError) as error:
        raise InputError(
            f"{file} is not a whole IDX file of bytes ({error}): fetch it again"
        ) from error


def _find(place: Path, name: str, what: str) -> Path:
    """A file at or below a folder, gzipped or not; InputError without it."""
    for file in (place / below / f"{name}{end}" for below in PLACES for end in (".gz", "")):
        if file.is_file():
            return file
    if (place / "data_batch_1").exists() or (place / "cifar-10-batches-py").exists():
        raise InputError(
            f"{place} holds CIFAR-10's pickled Python version, and nothing is unpickled here: use "
            "the binary version (cifar-10-batches-bin) or a .npz, or leave path out to download"
        )
    raise InputError(
        f"{place} is not a folder of {what}: expected {name} (or .gz) in it, as in the original "
        "download (of CIFAR-10, the binary version); correct path, or leave it out to download"
    )


def _renamed(data: Dataset, name: str, classes: tuple[str, ...], shape: tuple) -> Dataset:
    """A data set from a ``.npz`` under its own name, if it looks like it."""
    found = tuple(data.train[0].shape[1:])
    if found != shape or len(data.classes) != len(classes):
        raise InputError(
            f"{data.name}.npz has {len(data.classes)} classes of {found} images: {name} has "
            f"{len(classes)} of {shape}; for other data use --scenario npz"
        )
    return Dataset(name, data.train, data.test, classes, f"{name}, {data.provenance}")


def _downloaded(name: str) -> Path:
    """A folder with the official files, which are fetched unless they are there whole."""
    from torchvision.datasets import FashionMNIST, utils

    root = cache_folder() / name
    try:
        if name == "cifar10":
            files = [root / "cifar-10-batches-bin" / file for file in CIFAR10_FILES]
            if not all(f.is_file() and f.stat().st_size == CIFAR10_BYTES for f in files):
                utils.download_and_extract_archive(CIFAR10_URL, str(root), md5=CIFAR10_MD5)
        else:
            for file, md5 in FashionMNIST.resources:  # what has this MD5 is not fetched again
                utils.download_url(FashionMNIST.mirrors[0] + file, str(root), md5=md5)
    except (OSError, RuntimeError) as error:  # no network; no room; an MD5 that doesn't match
        raise InputError(
            f"{name} could not be downloaded to {root} ({error}): check the network, or name a "
            "local copy with --set path=..."
        ) from error
    return root
