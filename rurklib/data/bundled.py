"""Three data sets that come with scikit-learn: handwritten digits, Iris, breast cancer.

Which samples train and which test is drawn with a fixed seed, class by class. The numbers of a
table are read on fixed scales, wide enough for any that is found, so that every input lies in
[0, 1] and no statistic of a training sample gets into a re-trained model; tau is in those units.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from rurklib import checks
from rurklib.data.dataset import Dataset

IRIS_FEATURES = ("sepal length", "sepal width", "petal length", "petal width")
IRIS_SCALES = ((4.0, 8.0), (1.5, 4.5), (0.0, 8.0), (0.0, 3.0))  # cm that are read as 0 and as 1

# What is read as 1, in the order of the columns: mean, standard error and worst of radius, texture,
# perimeter, area, smoothness, compactness, concavity, concave points, symmetry, fractal dimension.
CANCER_SCALES = (
    30, 40, 200, 3000, 0.2, 0.4, 0.5, 0.3, 0.4, 0.1,
    3, 5, 30, 600, 0.04, 0.2, 0.5, 0.1, 0.1, 0.04,
    40, 50, 300, 5000, 0.3, 2, 2, 0.3, 0.7, 0.3,
)  # fmt: skip


def digits(seed: int = 0) -> Dataset:
    """1,797 handwritten digits, real images: x uint8 [n, 1, 8, 8], half of every class to train on.

    Grey levels 0 ... 16 are kept as bytes (16 becomes 255), so that digits are images like any
    other. Source: E. Alpaydin & C. Kaynak, "Optical Recognition of Handwritten Digits", UCI (test
    part).
    """
    from sklearn.datasets import load_digits  # a second of import time that only this needs

    found = load_digits()
    # Reshaped, not indexed by None: strides decide in which order PyTorch's convolutions add up.
    x = np.round(found.images * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    source = "load_digits (UCI Optical Recognition of Handwritten Digits)"
    return _dataset("digits", x, found, lambda own: own[: (len(own) + 1) // 2], seed, source)


def iris(features: Sequence[int] = (0, 1, 2, 3), seed: int = 0) -> Dataset:
    """150 flowers of three species: x float32 [120, features] and [30, features] in [0, 1].

    ``features`` index :data:`IRIS_FEATURES`. Two of them make a picture; with the sepal's two,
    versicolor and virginica overlap, so that something has to be learnt by heart. The same forty
    flowers of each species train whatever the features. tau 0.05 is 2 mm of a sepal's length but 4
    mm of a petal's. Raises InputError for an unknown or a repeated feature. Source: R. A. Fisher,
    "The use of multiple measurements in taxonomic problems", 1936.
    """
    chosen = [checks.count("feature", f, 0) for f in features]
    if not chosen or len(set(chosen)) < len(chosen) or max(chosen) >= len(IRIS_FEATURES):
        raise checks.InputError(
            f"features = {tuple(features)}: expected some of 0 ... {len(IRIS_FEATURES) - 1}, each "
            f"once ({', '.join(IRIS_FEATURES)})"
        )
    from sklearn.datasets import load_iris

    found = load_iris()
    low, high = np.array(IRIS_SCALES).T[:, chosen]
    x = _scaled(found.data[:, chosen], low, high)
    source = f"load_iris (UCI Iris; {', '.join(IRIS_FEATURES[f] for f in chosen)})"
    return _dataset("iris", x, found, lambda own: own[:40], seed, source)


def breast_cancer(seed: int = 0) -> Dataset:
    """569 tumours, thirty sizes and shapes of cell nuclei: x float32 [380, 30] and [189, 30] in
    [0, 1]; class 0 is malignant (212 tumours), class 1 benign (357).

    tau 0.02 is 0.6 of a nucleus's radius, which is 14 on average. Source: Street, Wolberg &
    Mangasarian, "Nuclear feature extraction for breast tumor diagnosis", 1993.
    """
    from sklearn.datasets import load_breast_cancer

    found = load_breast_cancer()
    x = _scaled(found.data, np.zeros(30), np.array(CANCER_SCALES))
    source = "load_breast_cancer (UCI Breast Cancer Wisconsin, Diagnostic)"
    return _dataset("breast-cancer", x, found, lambda own: own[len(own) // 3 :], seed, source)


def _scaled(x: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return ((x - low) / (high - low)).astype(np.float32)


def _dataset(
    name: str, x: np.ndarray, found: Any, trained: Callable, seed: int, source: str
) -> Dataset:
    """``trained`` chooses from each class's samples, in a random order, those to train on."""
    rng = np.random.default_rng([checks.count("seed", seed, 0), 0])
    y = found.target.astype(np.int64)
    members = [rng.permutation(np.flatnonzero(y == c)) for c in range(len(found.target_names))]
    train = np.sort(np.concatenate([trained(own) for own in members]))
    one, other = (
        (torch.from_numpy(x[index]), torch.from_numpy(y[index]))
        for index in (train, np.setdiff1d(np.arange(len(y)), train))
    )
    return Dataset(name, one, other, tuple(map(str, found.target_names)), f"scikit-learn {source}")
