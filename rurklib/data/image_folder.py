"""A folder of images in torchvision's ImageFolder layout, decoded once.

``path/train/<class>/*.jpg`` and ``path/test/<class>/*.jpg`` (or ``val`` where there is no
``test``). Classes are the folders' names in alphabetical order, as torchvision numbers them.
Images are made RGB, cut to a centred square and resized, and kept as one file in the cache folder;
adding, removing or touching an image decodes anew.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from rurklib import check, store
from rurklib.check import InputError
from rurklib.data.cache import cache_folder
from rurklib.data.dataset import Dataset

Files = list[tuple[Path, int]]  # (image, class)


def image_folder(path: str | Path, size: int = 32) -> Dataset:
    """Read a folder as a :class:`Dataset`: x uint8 [n, 3, size, size].

    Raises InputError, in one line that names the place, for a folder of another layout and for an
    image that can't be decoded.
    """
    check.count("size", size)
    if not str(path):
        raise InputError("path is empty: name the folder to read with --set path=FOLDER")
    root = Path(path).expanduser()
    if not root.is_dir():
        raise InputError(
            f"{root} is not a folder: expected one with train/<class>/ and test/<class>/"
        )
    sides = ("train", "test" if (root / "test").is_dir() else "val")
    classes, files = _listed(root, sides)
    stats = [
        (f.relative_to(root).as_posix(), (s := f.stat()).st_size, s.st_mtime_ns)
        for side in sides
        for f, _ in files[side]
    ]
    code = store.code("data/image_folder")
    key = store.fingerprint(root=str(root.resolve()), files=stats, size=size, code=code)
    images = _cached(key, {side: files[side] for side in sides}, size)
    train, test = (
        (torch.from_numpy(images[side]), torch.tensor([c for _, c in files[side]]))
        for side in sides
    )
    return Dataset(root.name, train, test, classes, f"images in {root.name}, {size}x{size}")


def _listed(root: Path, sides: tuple[str, str]) -> tuple[tuple[str, ...], dict[str, Files]]:
    """The classes, and every image file of both sides in alphabetical order."""
    from torchvision.datasets.folder import IMG_EXTENSIONS

    named = {s: sorted(d.name for d in (root / s).glob("*") if d.is_dir()) for s in sides}
    for side in sides:
        if not named[side]:
            raise InputError(
                f"{root} has no folders {side}/<class>/: expected train/<class>/ and test/<class>/ "
                "(or val/) with images in them"
            )
    if other := set(named[sides[0]]) ^ set(named[sides[1]]):
        raise InputError(
            f"{root}: {' and '.join(sides)} have different classes: {sorted(other)[0]!r} is in "
            "only one of them; give both the same folders"
        )
    if len(named["train"]) < 2:
        raise InputError(f"{root}/train has one class: expected at least two folders")
    files: dict[str, Files] = {}
    for side in sides:
        files[side] = []
        for c, name in enumerate(named[side]):
            folder = root / side / name
            images = sorted(f for f in folder.rglob("*") if f.suffix.lower() in IMG_EXTENSIONS)
            if not images:
                raise InputError(
                    f"{folder} has no images: expected files such as .png or .jpg; add some, or "
                    f"remove class {name!r} from {' and '.join(sides)}"
                )
            files[side] += [(f, c) for f in images]
    return tuple(named["train"]), files


def _cached(key: str, files: dict[str, Files], size: int) -> dict[str, np.ndarray]:
    """Decoded images of both sides, from the cache if they are there whole."""
    cached = cache_folder() / "images" / f"{key}.npz"
    if cached.exists():
        try:
            images, fingerprint = store.load_arrays(cached)
            if fingerprint == key:
                return images
        except InputError:  # damaged: nothing is lost, it is decoded again
            pass
    images = {
        side: np.stack([_decoded(f, size) for f, _ in listed]) for side, listed in files.items()
    }
    try:
        store.save_arrays(cached, images, key)
    except OSError as error:
        raise InputError(
            f"{cached.parent} can't be written ({error}): set RURK_CACHE to a folder with room"
        ) from error
    return images


def _decoded(file: Path, size: int) -> np.ndarray:
    """One image as uint8 [3, size, size]."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as image:
            square = ImageOps.fit(image.convert("RGB"), (size, size), Image.Resampling.BILINEAR)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{file} can't be decoded ({error}): mend it or remove it from the folder"
        ) from error
    return np.asarray(square).transpose(2, 0, 1).copy()
