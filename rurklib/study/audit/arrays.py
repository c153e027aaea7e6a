"""Samples of an audit under other names than ``x`` and ``y``."""

from pathlib import Path

import numpy as np
import torch

from rurklib.checks import InputError
from rurklib.samples import Pair
from rurklib.study.sources.npz import AUDIT_KEYS, _channels_first, _load, _whole, read_samples


def read_named(path: Path, arrays: str | None = None) -> Pair:
    """Samples of a .npz, as :func:`read_samples`, where the arrays may be called otherwise.

    ``arrays``: two names, ``"images,labels"``; a file that has the usual ones and not these is read
    by the usual ones. Where the first ends in "images" and is uint8, the channels may be the last,
    as in MedMNIST's; else they stay in the layout that the model takes.
    """
    names = tuple(name.strip() for name in (arrays or "x,y").split(","))
    if len(names) != 2 or not all(names):
        raise InputError(f"--arrays {arrays}: expected two names, as in --arrays images,labels")
    found = _load(path, ".npz", [names, *AUDIT_KEYS]) if arrays else {}
    if not found.keys() >= set(names):
        try:
            return read_samples(path)
        except InputError as error:
            mend = "; or name them: --arrays IMAGES,LABELS" * (" has the arrays " in str(error))
            raise InputError(f"{error}{mend}") from error
    x = found[names[0]]
    if x.ndim < 2 or (x.dtype != np.uint8 and x.dtype.kind != "f"):
        raise InputError(
            f"{path}: {names[0]} is {x.dtype} {x.shape}: expected uint8 images or floats, [n, ...]"
        )
    if names[0].endswith("images") and x.dtype == np.uint8 and x.ndim in (3, 4):
        x = x if x.ndim == 4 and x.shape[3] not in (1, 3) else _channels_first(x)
    x = np.ascontiguousarray(x if x.dtype == np.uint8 else x.astype(np.float32))
    return torch.from_numpy(x), _whole(path, names[1], found[names[1]], len(x))
