"""Wisconsin breast cancer: 569 tumours, thirty sizes and shapes of cell nuclei, two diagnoses.

Shipped with scikit-learn. Each number is read on a fixed scale from 0 to a round number above any
that is found, so that every input lies in [0, 1] and no statistic of a training sample gets into a
re-trained model. tau is in those units: 0.02 is 0.6 of a nucleus's radius, which is 14 on average.
Two thirds of each diagnosis are for training, drawn with a fixed seed.
Source: Street, Wolberg & Mangasarian, "Nuclear feature extraction for breast tumor diagnosis",
1993.
"""

from __future__ import annotations

import numpy as np
import torch

from rurklib import check
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
    check.count("seed", seed, 0)
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
