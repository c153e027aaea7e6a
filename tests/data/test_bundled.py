"""scikit-learn's three data sets: fixed scales, fixed samples."""

import numpy as np
import pytest
import torch

from rurklib.data import CANCER_SCALES, breast_cancer, digits, iris


def test_scales_of_tumours_are_round_numbers_and_no_statistics():
    """Undoing them gives scikit-learn's numbers back, column by column, and no feature's scale is
    its maximum. Fails if a feature gets another's scale."""
    from sklearn.datasets import load_breast_cancer

    raw, data = load_breast_cancer().data, breast_cancer()
    known = {tuple(np.float32(row / np.array(CANCER_SCALES))) for row in raw}
    for x, _ in (data.train, data.test):
        assert {tuple(row) for row in x.numpy()} <= known
    top = raw.max(0) / np.array(CANCER_SCALES)
    assert (top < 1).all()
    assert (top > 0.4).all()
    assert all(float(f"{s:.1g}") == s for s in CANCER_SCALES)


@pytest.mark.parametrize(
    ("load", "train", "test", "classes"),
    [
        (breast_cancer, [142, 238], [70, 119], "malignant benign"),  # two thirds and one
        (iris, [40] * 3, [10] * 3, "setosa versicolor virginica"),
        (digits, [89, 91, 89, 92, 91, 91, 91, 90, 87, 90],
         [89, 91, 88, 91, 90, 91, 90, 89, 87, 90], "0 1 2 3 4 5 6 7 8 9"),
    ],
)  # fmt: skip
def test_a_seed_decides_which_of_each_class_train(load, train, test, classes, same_random_state):
    with same_random_state():
        data, again, other = load(), load(seed=0), load(seed=1)
    assert torch.bincount(data.train[1]).tolist() == train
    assert torch.bincount(data.test[1]).tolist() == test
    assert data.classes == tuple(classes.split())
    assert data.bounds == (0.0, 1.0)
    assert data.digest == again.digest != other.digest
