"""Wisconsin breast cancer: 569 tumours, thirty sizes and shapes of cell nuclei, two diagnoses.

Shipped with scikit-learn. Each number is read on a fixed scale from 0 to a round number above any
that is found, so that every input lies in [0, 1] and no statistic of a training sample gets into a
re-trained model. tau is in those units: 0.02 is 0.6 of a nucleus's radius, which is 14 on average.
Two thirds of each diagnosis are for training, drawn with a fixed seed.
Source: Street, Wolberg & Mangasarian, "Nuclear feature extraction for breast tumor diagnosis",
1993.

scikit-learn's handwritten digits: 1,797 real images of 8x8 pixels, shipped with the library.

Grey levels are 0 ... 16; they are kept as uint8 (16 becomes 255), so that digits are images like
any other. Half of every class is for training and half for testing, drawn with a fixed seed.
Source: E. Alpaydin & C. Kaynak, "Optical Recognition of Handwritten Digits", UCI (test part).

Fisher's Iris: 150 real flowers of three species, four lengths each, shipped with scikit-learn.

Lengths are read on fixed scales in cm, wide enough for any flower here, so that every input lies
in [0, 1] and no statistic of a training sample gets into a re-trained model. tau is in those units:
0.05 is 2 mm of a sepal's length but 4 mm of a petal's.
Source: R. A. Fisher, "The use of multiple measurements in taxonomic problems", 1936.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from rurklib import checks
from rurklib.data.dataset import Dataset

# What is read as 1, in the order of the columns: mean, standard error and worst of radius, texture,
# perimeter, area, smoothness, compactness, concavity, concave points, symmetry, fractal dimension.
SCALES = (
    30, 40, 200, 3000, 0.2, 0.4, 0.5, 0.3, 0.4, 0.1,
    3, 5, 30, 600, 0.04, 0.2, 0.5, 0.1, 0.1, 0.04,
    40, 50, 300, 5000, 0.3, 2, 2, 0.3, 0.7, 0.3,
)  # fmt: skip


def breast_cancer(seed: int = 0) -> Dataset:
    """The tumours as a :class:`Dataset`: x float32 [380, 30] and [189, 30] in [0, 1]; class 0 is
    malignant (212 tumours), class 1 benign (357)."""
    checks.count("seed", seed, 0)
    from sklearn.datasets import load_breast_cancer  # a second of import time that only this needs

    bunch = load_breast_cancer()
    x = torch.from_numpy((bunch.data / np.array(SCALES)).astype(np.float32))
    y = torch.from_numpy(bunch.target.astype(np.int64))
    rng = np.random.default_rng([seed, 0])
    members = [rng.permutation(np.flatnonzero(bunch.target == c)) for c in (0, 1)]
    test = np.sort(np.concatenate([m[: len(m) // 3] for m in members]))
    train = np.setdiff1d(np.arange(len(y)), test)
    return Dataset(
        name="breast-cancer",
        train=(x[train], y[train]),
        test=(x[test], y[test]),
        classes=tuple(str(name) for name in bunch.target_names),
        provenance="scikit-learn load_breast_cancer (UCI Breast Cancer Wisconsin, Diagnostic)",
    )


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


FEATURES = ("sepal length", "sepal width", "petal length", "petal width")


IRIS_SCALES = ((4.0, 8.0), (1.5, 4.5), (0.0, 8.0), (0.0, 3.0))  # cm that are read as 0 and as 1


TRAIN = 40  # flowers of each species to train on; the other 10 are for testing


def iris(features: Sequence[int] = (0, 1, 2, 3), seed: int = 0) -> Dataset:
    """Iris as a :class:`Dataset`: x float32 [120, features] and [30, features] in [0, 1].

    ``features`` index :data:`FEATURES`. Two of them make a picture; with the sepal's two,
    versicolor and virginica overlap, so that something has to be learnt by heart. The same flowers
    are for training whatever the features. Raises InputError for an unknown or a repeated feature.
    """
    chosen = [checks.count("feature", f, 0) for f in features]
    if not chosen or len(set(chosen)) < len(chosen) or max(chosen) >= len(FEATURES):
        raise checks.InputError(
            f"features = {tuple(features)}: expected some of 0 ... {len(FEATURES) - 1}, each once "
            f"({', '.join(FEATURES)})"
        )
    from sklearn.datasets import load_iris  # a second of import time that only this needs

    bunch = load_iris()
    low, high = np.array(IRIS_SCALES).T[:, chosen]
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
