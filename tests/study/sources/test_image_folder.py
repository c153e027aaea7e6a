"""A folder of images: torchvision's numbering, decoded once, nothing half-read."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rurklib.checks import InputError
from rurklib.study.sources.image_folder import image_folder


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("RURK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two classes ("cat" grey, "Dog" in colour: capitals come first), a note, a nested image."""
    root = tmp_path / "pets"
    rng = np.random.default_rng(0)
    for side, n in (("train", 3), ("val", 2)):
        for name, mode in (("cat", "L"), ("Dog", "RGB")):
            (root / side / name).mkdir(parents=True)
            for k in range(n):
                pixels = rng.integers(0, 256, (8, 8, 3) if mode == "RGB" else (8, 8), np.uint8)
                Image.fromarray(pixels).save(root / side / name / f"{k}.png")
    (root / "train" / "cat" / "notes.txt").write_text("not an image")
    (root / "train" / "cat" / "more").mkdir()
    Image.new("RGB", (8, 8), (9, 9, 9)).save(root / "train" / "cat" / "more" / "deep.PNG")
    return root


def test_it_reads_what_torchvision_reads(folder):
    """Fails if classes are numbered otherwise, a file is missed or pixels change."""
    from torchvision.datasets import ImageFolder

    data = image_folder(folder, size=8)
    theirs = ImageFolder(str(folder / "train"))
    assert list(data.classes) == theirs.classes == ["Dog", "cat"]
    found = {(x.numpy().tobytes(), int(y)) for x, y in zip(*data.train, strict=True)}
    assert found == {(np.asarray(i).transpose(2, 0, 1).tobytes(), y) for i, y in theirs}
    assert data.train[0].shape == (7, 3, 8, 8)
    assert data.test[0].shape == (4, 3, 8, 8)
    assert data.train[0].dtype == torch.uint8


def test_the_middle_is_cut_out(folder):
    """Fails if a wide image is squeezed, or its left end taken."""
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 200
    Image.fromarray(wide).save(folder / "train" / "Dog" / "0.png")
    x = image_folder(folder, size=10).train[0]
    assert x.shape == (7, 3, 10, 10)
    assert (x[0] == 200).all()


def test_decoded_once_and_anew_when_a_file_changes(folder, cache, monkeypatch):
    """Fails if images are decoded on every opening, or an old cache outlives a changed file."""
    before = image_folder(folder, size=8)
    with monkeypatch.context() as patched:
        patched.setattr(Image, "open", lambda *a: pytest.fail("decoded again"))
        assert image_folder(folder, size=8).digest == before.digest
    changed = folder / "val" / "cat" / "0.png"
    Image.new("L", (8, 8), 77).save(changed)
    os.utime(changed, ns=(1, 1))
    assert image_folder(folder, size=8).digest != before.digest
    assert image_folder(folder, size=4).train[0].shape[-1] == 4
    os.utime(changed, ns=(2, 2))
    image_folder(folder, size=8)
    assert len(list(cache.rglob("*.npy"))) == 2 + 1 + 2 + 1  # one side alone was touched


def test_a_damaged_cache_is_decoded_again(folder, cache):
    """Fails if a user has to know that there is a cache."""
    before = image_folder(folder, size=8).digest
    for length in (0, 100, 1000):  # no header, half a header, some of the images
        for kept in cache.rglob("[!.]*.npy"):
            kept.write_bytes(kept.read_bytes()[:length])
        assert image_folder(folder, size=8).digest == before


def test_a_cache_that_cannot_be_written(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RURK_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match="set RURK_CACHE"):
        image_folder(folder, size=8)
