"""scikit-learn's handwritten digits: 1,797 real images of 8x8 pixels, shipped with the library.

Grey levels are 0 ... 16; they are kept as uint8 (16 becomes 255), so that digits are images like
any other. Half of every class is for training and half for testing, drawn with a fixed seed.
Source: E. Alpaydin & C. Kaynak, "Optical Recognition of Handwritten Digits", UCI (test part).
"""

from __future__ import annotations

import numpy as np
import torch

from rurklib.data.dataset import Dataset


def digits(seed: int = 0) -> Dataset:
    """The digits as a :class:`Dataset`: x uint8 [n, 1, 8, 8], about 900 for each side."""
    from sklearn.datasets import load_digits  # a second of import time that only this needs

    bunch = load_digits()
    x = torch.from_numpy(np.round(bunch.images * (255 / 16)).astype(np.uint8))[:, None]
    y = torch.from_numpy(bunch.target.astype(np.int64))
    rng = np.random.default_rng([seed, 0])
    train: list[int] = []
    for c in range(10):
        members = rng.permutation(np.flatnonzero(bunch.target == c))
        train += members[: (len(members) + 1) // 2].tolist()
    index = torch.tensor(sorted(train))
    rest = torch.tensor(sorted(set(range(len(y))) - set(train)))
    return Dataset(
        name="digits",
        train=(x[index], y[index]),
        test=(x[rest], y[rest]),
        classes=tuple(str(c) for c in range(10)),
        provenance="scikit-learn load_digits (UCI Optical Recognition of Handwritten Digits)",
    )
