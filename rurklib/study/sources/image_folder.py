"""Where downloads and decoded images are kept between runs.

A folder of images in torchvision's ImageFolder layout, decoded once.

``path/train/<class>/*.jpg`` and ``path/test/<class>/*.jpg`` (or ``val`` where there is no
``test``). Classes are the folders' names in alphabetical order, as torchvision numbers them.
Images are made RGB, cut to a centred square and resized, and kept as one file a side in the cache
folder; adding, removing or touching an image decodes anew. A side of up to 512 MB is read into
memory, a larger one stays on disk (:mod:`rurklib.study.sources.rows`), however many images it has.
"""

from __future__ import annotations

import hashlib
import io
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from rurklib import checks
from rurklib.checks import InputError
from rurklib.data.dataset import Dataset
from rurklib.study import files, memo
from rurklib.study.sources.rows import Rows, in_memory_if_small


def cache_folder() -> Path:
    """``$RURK_CACHE``, or ``~/.cache/rurklib``; it may not exist yet and can always be deleted."""
    return Path(os.environ.get("RURK_CACHE") or Path.home() / ".cache" / "rurklib").expanduser()


Side = list[Path]  # its class folders, in the classes' order


GROUP = 256  # images that are decoded, written and made safe on disk together


EVERY = 15.0  # seconds between two lines that say how far decoding is


def image_folder(path: str | Path, size: int = 32) -> Dataset:
    """Read a folder as a :class:`Dataset`: x uint8 [n, 3, size, size].

    Raises InputError, in one line that names the place, for a folder of another layout and for an
    image that can't be decoded.
    """
    checks.count("size", size)
    if not str(path):
        raise InputError("path is empty: name the folder to read with --set path=FOLDER")
    root = Path(path).expanduser()
    if not root.is_dir():
        raise InputError(
            f"{root} is not a folder: expected one with train/<class>/ and test/<class>/"
        )
    names = ("train", "test" if (root / "test").is_dir() else "val")
    sides = _class_folders(root, names)
    labels, key = _listed(root, sides, size)
    train, test = (
        (_images(f"{key}-{name}", side, len(y), size), y)
        for name, side, y in zip(names, sides, labels, strict=True)
    )
    classes = tuple(folder.name for folder in sides[0])
    return Dataset(root.name, train, test, classes, f"images in {root.name}, {size}x{size}")


# --- what is there ------------------------------------------------------------------------------


def _class_folders(root: Path, names: tuple[str, str]) -> list[Side]:
    """The class folders of both sides in alphabetical order, the same classes in both."""
    sides = [sorted(d for d in (root / s).glob("*") if d.is_dir()) for s in names]
    for name, side in zip(names, sides, strict=True):
        if not side:
            raise InputError(
                f"{root} has no folders {name}/<class>/: expected train/<class>/ and test/<class>/ "
                "(or val/) with images in them"
            )
    first, second = ({d.name for d in side} for side in sides)
    if other := first ^ second:
        raise InputError(
            f"{root}: {' and '.join(names)} have different classes: {sorted(other)[0]!r} is in "
            "only one of them; give both the same folders"
        )
    if len(first) < 2:
        raise InputError(f"{root}/train has one class: expected at least two folders")
    return sides


def _files(folder: Path) -> list[str]:
    """The images at or below a class folder in alphabetical order, as paths below it."""
    from torchvision.datasets.folder import IMG_EXTENSIONS

    found = [
        os.path.relpath(os.path.join(at, name), folder)
        for at, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(IMG_EXTENSIONS)
    ]
    return sorted(found, key=lambda file: file.split(os.sep))


def _listed(root: Path, sides: list[Side], size: int) -> tuple[list[Tensor], str]:
    """The labels of both sides, and a key that changes with any file: name, length or time.

    No list of all files is made: there may be more than a million.
    """
    sha, labels = hashlib.sha256(), []
    for side in sides:
        counts = []
        for folder in side:
            files = _files(folder)
            if not files:
                raise InputError(
                    f"{folder} has no images: expected files such as .png or .jpg; add some, or "
                    f"remove class {folder.name!r} from both sides"
                )
            counts.append(len(files))
            for file in files:
                place = folder / file
                stat = place.stat()
                name = place.relative_to(root).as_posix()
                sha.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
        labels.append(torch.arange(len(side)).repeat_interleave(torch.tensor(counts)))
    made = {"files": sha.hexdigest(), "size": size, "code": memo.code("study/sources/image_folder")}
    return labels, memo.fingerprint(root=str(root.resolve()), **made)


# --- decoding -----------------------------------------------------------------------------------


def _images(name: str, side: Side, n: int, size: int) -> Tensor:
    """The decoded images of a side, from the cache if they are there whole."""
    from filelock import FileLock

    cached = cache_folder() / "images" / f"{name}.npy"
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(cached.parent / f".{name}.lock"):  # another process waits, then finds it
            try:
                rows = Rows(cached)
            except InputError:  # missing or damaged: nothing is lost, it is decoded again
                _decode(cached, side, n, size)
                rows = Rows(cached)
    except OSError as error:
        raise InputError(
            f"{cached.parent} can't be written ({error}): set RURK_CACHE to a folder with room"
        ) from error
    return in_memory_if_small(rows)


def _decode(cached: Path, side: Side, n: int, size: int) -> None:
    """Write the images of a side to ``cached``, which appears when it is whole.

    What a killed process left is gone on with, but for its last group, which may not have got to
    the disk. Memory is that of a group.
    """
    header = io.BytesIO()
    shape = (n, 3, size, size)
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    start, each = header.getvalue(), 3 * size * size
    partial = cached.with_name(f".{cached.stem}.{files.PARTIAL}.npy")
    with open(partial, "r+b" if partial.exists() else "w+b") as out:
        whole = (os.path.getsize(partial) - len(start)) // each
        done = max(0, whole - GROUP) if out.read(len(start)) == start else 0
        if done == 0:
            out.seek(0)
            out.write(start)
        out.truncate(len(start) + done * each)
        out.seek(0, os.SEEK_END)
        try:
            _append(out, islice(_each(side), done, None), done, n, size)
        except InputError:  # when the image is mended, the key is another
            partial.unlink()
            raise
    os.replace(partial, cached)


def _append(out: IO[bytes], files: Iterator[Path], done: int, n: int, size: int) -> None:
    """Decode the files one after another to the end of ``out``, on every core."""
    from joblib import cpu_count

    said = time.monotonic()
    with ThreadPoolExecutor(cpu_count()) as pool:  # Pillow lets go of Python's lock
        while group := list(islice(files, GROUP)):
            for image in pool.map(lambda file: _decoded(file, size), group):
                out.write(image.tobytes())
            out.flush()
            os.fsync(out.fileno())
            done += len(group)
            if time.monotonic() - said > EVERY:
                print(f"{done} of {n} images are decoded to {size}x{size}", flush=True)
                said = time.monotonic()
    if done != n:
        raise InputError(
            f"{done} images instead of {n}: the folder changed meanwhile; run it again"
        )


def _each(side: Side) -> Iterator[Path]:
    return (folder / file for folder in side for file in _files(folder))


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
