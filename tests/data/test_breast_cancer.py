"""Breast cancer: fixed scales, fixed tumours."""

from __future__ import annotations

import numpy as np
import torch

from rurklib.data.bundled import SCALES, breast_cancer


def test_scales_are_round_numbers_and_no_statistics():
    """Undoing them gives scikit-learn's numbers back, column by column, and no feature's scale is
    its maximum. Fails if a feature gets another's scale."""
    from sklearn.datasets import load_breast_cancer

    raw, data = load_breast_cancer().data, breast_cancer()
    known = {tuple(np.float32(row / np.array(SCALES))) for row in raw}
    for x, _ in (data.train, data.test):
        assert {tuple(row) for row in x.numpy()} <= known
    top = raw.max(0) / np.array(SCALES)
    assert (top < 1).all()
    assert (top > 0.4).all()
    assert all(float(f"{s:.1g}") == s for s in SCALES)


def test_two_thirds_of_each_diagnosis_train():
    data = breast_cancer()
    assert data.classes == ("malignant", "benign")
    assert torch.bincount(data.train[1]).tolist() == [142, 238]
    assert torch.bincount(data.test[1]).tolist() == [70, 119]
    assert data.bounds == (0.0, 1.0)
    assert not torch.equal(breast_cancer(seed=1).train[0], data.train[0])
