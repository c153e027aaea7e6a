"""Fisher's Iris: 150 real flowers of three species, four lengths each, shipped with scikit-learn.

Lengths are read on fixed scales in cm, wide enough for any flower here, so that every input lies
in [0, 1] and no statistic of a training sample gets into a re-trained model. tau is in those units:
0.05 is 2 mm of a sepal's length but 4 mm of a petal's.
Source: R. A. Fisher, "The use of multiple measurements in taxonomic problems", 1936.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from rurklib import check
from rurklib.data.dataset import Dataset

FEATURES = ("sepal length", "sepal width", "petal length", "petal width")
SCALES = ((4.0, 8.0), (1.5, 4.5), (0.0, 8.0), (0.0, 3.0))  # cm that are read as 0 and as 1
TRAIN = 40  # flowers of each species to train on; the other 10 are for testing


def iris(features: Sequence[int] = (0, 1, 2, 3), seed: int = 0) -> Dataset:
    """Iris as a :class:`Dataset`: x float32 [120, features] and [30, features] in [0, 1].

    ``features`` index :data:`FEATURES`. Two of them make a picture; with the sepal's two,
    versicolor and virginica overlap, so that something has to be learnt by heart. The same flowers
    are for training whatever the features. Raises InputError for an unknown or a repeated feature.
    """
    chosen = [check.count("feature", f, 0) for f in features]
    if not chosen or len(set(chosen)) < len(chosen) or max(chosen) >= len(FEATURES):
        raise check.InputError(
            f"features = {tuple(features)}: expected some of 0 ... {len(FEATURES) - 1}, each once "
            f"({', '.join(FEATURES)})"
        )
    from sklearn.datasets import load_iris  # a second of import time that only this needs

    bunch = load_iris()
    low, high = np.array(SCALES).T[:, chosen]
    x = torch.from_numpy(((bunch.data[:, chosen] - low) / (high - low)).astype(np.float32))
    y = torch.from_numpy(bunch.target.astype(np.int64))
    rng = np.random.default_rng([seed, 0])
    drawn = [rng.permutation(np.flatnonzero(bunch.target == c))[:TRAIN] for c in range(3)]
    train = np.sort(np.concatenate(drawn))
    rest = np.setdiff1d(np.arange(len(y)), train)
    return Dataset(
        name="iris",
        train=(x[train], y[train]),
        test=(x[rest], y[rest]),
        classes=tuple(str(name) for name in bunch.target_names),
        provenance=f"scikit-learn load_iris (UCI Iris; {', '.join(FEATURES[f] for f in chosen)})",
    )
