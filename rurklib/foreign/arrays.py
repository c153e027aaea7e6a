"""Samples and indices from NumPy's files, numbers only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rurklib.check import InputError

KEYS = (("x", "y"), ("train_images", "train_labels"))


def read_samples(path: Path) -> tuple[Tensor, Tensor]:
    """Samples and labels of a .npz: arrays x, y, or train_images, train_labels as MedMNIST has.

    x is uint8 (read as x / 255) or floats, [n, ...]; images with the channels last, [n, h, w, 1 or
    3], as in ``train_images``, are brought to [n, channels, h, w], and [n, h, w] there to
    [n, 1, h, w]. ``x`` stays in the layout that the model takes. y: whole numbers [n] or [n, 1].
    """
    arrays = _load(path, ".npz")
    assert isinstance(arrays, dict)
    for keys in KEYS:
        if set(keys) <= arrays.keys():
            x, y = (arrays[k] for k in keys)
            break
    else:
        found = ", ".join(list(arrays)[:8]) or "none"
        raise InputError(
            f"{path} has the arrays {found}: expected x, y or train_images, train_labels"
        )
    if keys != KEYS[0] and x.ndim in (3, 4):
        x = x[:, None] if x.ndim == 3 else x.transpose(0, 3, 1, 2)
    if x.dtype != np.uint8 and x.dtype.kind != "f":
        raise InputError(f"{path}: {keys[0]} is {x.dtype}: expected uint8 images or floats")
    if y.dtype.kind not in "iu" or y.shape not in ((len(x),), (len(x), 1)):
        raise InputError(
            f"{path}: {keys[1]} is {y.dtype} {y.shape} for {len(x)} samples: expected one whole "
            "number each"
        )
    x = np.ascontiguousarray(x if x.dtype == np.uint8 else x.astype(np.float32))
    return torch.from_numpy(x), torch.from_numpy(y.reshape(-1).astype(np.int64))


def read_indices(path: Path, n: int) -> Tensor:
    """Indices of samples from a .npy: whole numbers 0 ... n - 1, each once, or a mask [n]."""
    found = _load(path, ".npy")
    assert isinstance(found, np.ndarray)
    if found.dtype == bool and found.shape == (n,):
        found = np.flatnonzero(found)
    if found.dtype.kind not in "iu" or found.ndim != 1 or len(found) == 0:
        raise InputError(
            f"{path} is {found.dtype} {found.shape}: expected indices of samples, whole numbers [k]"
        )
    low, high = int(found.min()), int(found.max())
    if low < 0 or high >= n:
        raise InputError(f"{path} spans {low} ... {high}: expected indices in 0 ... {n - 1}")
    if len(np.unique(found)) < len(found):
        raise InputError(f"{path} names {len(found) - len(np.unique(found))} samples twice")
    return torch.from_numpy(found.astype(np.int64))


def _load(path: Path, kind: str) -> Any:
    if not path.is_file():
        raise InputError(f"{path} does not exist: check the path of the {kind} file")
    try:
        found = np.load(path, allow_pickle=False)
        if not isinstance(found, np.ndarray):
            with found:
                found = {k: found[k] for k in found.files if k in sum(KEYS, ())} or dict.fromkeys(
                    found.files
                )
    except Exception as error:  # zipfile, OSError, ValueError (pickled objects): not readable
        raise InputError(
            f"{path} can't be read as {kind} ({said(error)}): write it with numpy.save"
            f"{'z' if kind == '.npz' else ''}, numbers only"
        ) from error
    if isinstance(found, np.ndarray) != (kind == ".npy"):
        what = "one array" if isinstance(found, np.ndarray) else "an archive of arrays"
        raise InputError(f"{path} holds {what}: expected a {kind} file")
    return found


def said(error: BaseException) -> str:
    """What an error says, in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
