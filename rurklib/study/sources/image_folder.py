"""A folder of images in torchvision's ImageFolder layout, decoded once.

``path/train/<class>/*.jpg`` and ``path/test/<class>/*.jpg`` (or ``val`` where there is no
``test``). Classes are the folders' names in alphabetical order, as torchvision numbers them.
Images are made RGB, cut to a centred square and resized, and kept as one file a side in the cache
folder; adding, removing or touching an image decodes anew. All of them are held in memory.
"""

import contextlib
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rurklib import checks
from rurklib.checks import InputError
from rurklib.data import Dataset
from rurklib.study import files, memo


def cache_folder() -> Path:
    """Where downloads and decoded images are kept between runs: ``$RURK_CACHE``, or
    ``~/.cache/rurklib``; it may not exist yet and can always be deleted."""
    return Path(os.environ.get("RURK_CACHE") or Path.home() / ".cache" / "rurklib").expanduser()


def image_folder(path: str | Path, size: int = 32) -> Dataset:
    """Read a folder as a :class:`Dataset`: x uint8 [n, 3, size, size].

    Raises InputError, in one line that names the place, for a folder of another layout and for an
    image that can't be decoded.
    """
    checks.count("size", size)
    if not str(path):
        raise InputError("path is empty: name the folder to read with --set path=FOLDER")
    root = Path(path).expanduser().absolute()
    if not root.is_dir():
        raise InputError(
            f"{root} is not a folder: expected one with train/<class>/ and test/<class>/"
        )
    names = ("train", "test" if (root / "test").is_dir() else "val")
    sides = [sorted(d for d in (root / name).glob("*") if d.is_dir()) for name in names]
    classes, others = (tuple(folder.name for folder in side) for side in sides)
    if apart := set(classes) ^ set(others):
        raise InputError(
            f"{root}: the folders {' and '.join(names)} have different classes: {min(apart)!r} is "
            "in only one of them; give both the same folders, <class>/ with images in each"
        )
    if len(classes) < 2:
        raise InputError(
            f"{root} has {len(classes)} classes: expected folders train/<class>/ and test/<class>/ "
            "(or val/), at least two, with images in them"
        )
    listed = [_listed(side) for side in sides]
    train, test = (
        (_decoded_once(side, key, size), labels)
        for side, (labels, key) in zip(sides, listed, strict=True)
    )
    return Dataset(root.name, train, test, classes, f"images in {root.name}, {size}x{size}")


def _listed(folders: list[Path]) -> tuple[Tensor, str]:
    """The labels of one side, and a hash that changes with any file's place, length or time."""
    sha, counts = hashlib.sha256(), []
    for folder in folders:
        found = _files(folder)
        if not found:
            raise InputError(
                f"{folder} has no images: expected files such as .png or .jpg; add some, or "
                f"remove class {folder.name!r} from both sides"
            )
        counts.append(len(found))
        for file in found:
            stat = file.stat()
            sha.update(f"{file}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return torch.arange(len(folders)).repeat_interleave(torch.tensor(counts)), sha.hexdigest()


def _decoded_once(folders: list[Path], listed: str, size: int) -> Tensor:
    """The images of one side, from the cache if they are there whole."""
    from filelock import FileLock
    from joblib import cpu_count

    kept = cache_folder() / "images" / memo.key(_decoded, {"files": listed, "size": size})
    kept = kept / "images.npy"
    every = [file for folder in folders for file in _files(folder)]
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(kept.with_suffix(".lock")):  # another process waits, then finds it
            files.sweep(kept.parent)  # what a killed process left
            if kept.exists():
                with contextlib.suppress(ValueError, EOFError):  # damaged: decoded again
                    return torch.from_numpy(np.load(kept, allow_pickle=False))
            with ThreadPoolExecutor(cpu_count()) as pool:  # Pillow lets go of Python's lock
                images = np.stack(list(pool.map(partial(_decoded, size=size), every)))
            with files.replacing(kept) as unfinished:
                np.save(unfinished, images)
            return torch.from_numpy(images)
    except OSError as error:
        raise InputError(
            f"{kept.parent} can't be written ({error}): set RURK_CACHE to a folder with room"
        ) from error


def _files(folder: Path) -> list[Path]:
    """The images at or below a class folder, in alphabetical order."""
    from torchvision.datasets.folder import IMG_EXTENSIONS

    return sorted(f for f in folder.rglob("*") if f.name.lower().endswith(IMG_EXTENSIONS))


def _decoded(file: Path, size: int) -> np.ndarray:
    """One image as uint8 [3, size, size]."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as image:
            # A JPEG is unpacked at 1/2, 1/4 or 1/8, where twice the size that is wanted is left.
            image.draft("RGB", (2 * size, 2 * size))
            square = ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.BILINEAR)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{file} can't be decoded ({error}): mend it or remove it from the folder"
        ) from error
    return np.asarray(square).transpose(2, 0, 1).copy()
