"""CIFAR-10 and Fashion-MNIST: every door leads to the same data, and no door unpickles."""

import gzip
import struct
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch

from rurklib.checks import InputError
from rurklib.study.sources.cifar_fashion import (
    CIFAR10,
    CIFAR10_FILES,
    FASHION,
    cifar10,
    fashion_mnist,
)


def cifar_like(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """n images [n, 32, 32, 3] with labels 0, 1, ..., 9, 0, ..."""
    x = np.random.default_rng(seed).integers(0, 256, (n, 32, 32, 3), np.uint8)
    return x, (np.arange(n) % 10).astype(np.uint8)


@pytest.fixture
def binary(tmp_path) -> Path:
    """CIFAR-10's binary version with 20 images a file: a label, then red, green, blue planes."""
    folder = tmp_path / "download" / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for seed, name in enumerate(CIFAR10_FILES):
        x, y = cifar_like(20, seed)
        (folder / name).write_bytes(
            b"".join(
                bytes([label]) + image[..., 0].tobytes() + image[..., 1].tobytes()
                + image[..., 2].tobytes()
                for image, label in zip(x, y, strict=True)
            )
        )  # fmt: skip
    return folder


def test_the_binary_version_and_the_npz_are_the_same_data(binary, tmp_path):
    """Fails if planes, rows or the order of the five files are mixed up."""
    train = [cifar_like(20, seed) for seed in range(5)]
    test = cifar_like(20, 5)
    np.savez(
        tmp_path / "c.npz",
        train_images=np.concatenate([x for x, _ in train]),
        train_labels=np.concatenate([y for _, y in train]),
        test_images=test[0],
        test_labels=test[1],
    )
    one, parent, other = cifar10(binary), cifar10(binary.parent), cifar10(tmp_path / "c.npz")
    assert one.digest == parent.digest == other.digest
    assert one.classes == other.classes == CIFAR10
    assert one.name == other.name == "cifar10"
    assert one.train[0].shape == (100, 3, 32, 32)


@pytest.fixture
def idx(tmp_path) -> Path:
    """Fashion-MNIST's four files with 30 and 20 images."""
    folder = tmp_path / "fashion"
    folder.mkdir()
    for part, n in (("train", 30), ("t10k", 20)):
        x = np.random.default_rng(n).integers(0, 256, (n, 28, 28), np.uint8)
        y = (np.arange(n) % 10).astype(np.uint8)
        images = struct.pack(">BBBBIII", 0, 0, 8, 3, n, 28, 28) + x.tobytes()
        labels = struct.pack(">BBBBI", 0, 0, 8, 1, n) + y.tobytes()
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    return folder


def test_idx_files_gzipped_or_not_and_torchvisions_own_reader(idx, tmp_path):
    """Fails if header or pixels are read otherwise than torchvision reads them."""
    from torchvision.datasets import FashionMNIST

    data = fashion_mnist(idx)
    raw = tmp_path / "root" / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for file in idx.iterdir():
        (raw / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
    assert fashion_mnist(tmp_path / "root").digest == data.digest
    for pair, train in ((data.train, True), (data.test, False)):
        theirs = FashionMNIST(str(tmp_path / "root"), train=train)
        assert torch.equal(pair[0][:, 0], theirs.data)
        assert torch.equal(pair[1], theirs.targets)
    assert list(FASHION) == FashionMNIST.classes
    assert data.train[0].shape == (30, 1, 28, 28)


@pytest.mark.parametrize("read", [cifar10, fashion_mnist])
def test_without_a_network_the_message_says_what_to_do(read, tmp_path, monkeypatch):
    """Fails if a download is tried elsewhere than in the cache, or its error comes through raw."""
    import torchvision.datasets.utils as utils

    asked = []

    def offline(url, root, *rest, **options):
        asked.append((url, Path(root), options["md5"]))
        raise URLError("no network")

    monkeypatch.setenv("RURK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(utils, "download_url", offline)
    monkeypatch.setattr(utils, "download_and_extract_archive", offline)
    with pytest.raises(InputError, match=r"could not be downloaded.*--set path"):
        read()
    ((url, root, md5),) = asked
    assert url.startswith("http")
    assert root.is_relative_to(tmp_path / "cache")
    assert len(md5) == 32


def test_a_download_is_read_and_not_fetched_again(binary, idx, tmp_path, monkeypatch):
    """Fails if the cache isn't looked at where the download puts its files."""
    import torchvision.datasets.utils as utils

    from rurklib.study.sources import cifar_fashion

    def fetch(url, root, md5):
        target = Path(root) / binary.name
        target.mkdir(parents=True)
        for file in binary.iterdir():
            (target / file.name).write_bytes(file.read_bytes())

    monkeypatch.setenv("RURK_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(cifar_fashion, "CIFAR10_BYTES", 20 * 3073)
    monkeypatch.setattr(utils, "download_and_extract_archive", fetch)
    assert cifar10().digest == cifar10(binary).digest
    monkeypatch.setattr(utils, "download_and_extract_archive", lambda *a, **k: pytest.fail("again"))
    assert cifar10().digest == cifar10(binary).digest

    def fetch_one(url, root, md5):
        name = url.rsplit("/", 1)[1]
        Path(root).mkdir(parents=True, exist_ok=True)
        (Path(root) / name).write_bytes((idx / name).read_bytes())

    monkeypatch.setattr(utils, "download_url", fetch_one)
    assert fashion_mnist().digest == fashion_mnist(idx).digest
