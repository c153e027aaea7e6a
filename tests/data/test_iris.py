"""Iris: fixed scales, fixed flowers, and a request over all classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from rurklib.checks import InputError
from rurklib.data.bundled import IRIS_SCALES, iris
from rurklib.data.dataset import Dataset
from rurklib.study.inspector.few import forget_few


def test_scales_are_centimetres_and_not_statistics():
    """Undoing the stated scales gives scikit-learn's centimetres back. Fails if a feature gets
    another's scale, or a minimum and maximum of the data are used."""
    from sklearn.datasets import load_iris

    low, high = np.array(IRIS_SCALES).T
    data = iris()
    known = {tuple(np.round(row, 1)) for row in load_iris().data}
    for x, _ in (data.train, data.test):
        centimetres = np.round(x.double().numpy() * (high - low) + low, 1)
        assert {tuple(row) for row in centimetres} <= known
    assert len(data.train[0]) + len(data.test[0]) == 150
    assert data.train[0].min() > 0
    assert data.train[0].max() < 1


def test_forty_of_each_species_train_and_the_same_whatever_the_features():
    whole, two = iris(), iris(features=(3, 1))
    assert torch.bincount(whole.train[1]).tolist() == [40, 40, 40]
    assert torch.bincount(whole.test[1]).tolist() == [10, 10, 10]
    assert torch.equal(two.train[0], whole.train[0][:, [3, 1]])
    assert torch.equal(two.test[1], whole.test[1])
    assert not torch.equal(iris(seed=1).train[0], whole.train[0])


@pytest.mark.parametrize("features", [(), (0, 0), (4,), (-1,), (0.5,)])
def test_features_that_are_not_there(features):
    with pytest.raises(InputError, match="feature"):
        iris(features=features)


@pytest.mark.parametrize(("n", "shares"), [(7, [2, 2, 3]), (6, [2, 2, 2]), (1, [0, 0, 1])])
def test_a_request_spreads_over_the_classes(n, shares):
    data = iris(features=(0, 1))
    for seed in range(5):
        retain, forget = forget_few(data, n, seed=seed)
        assert sorted(torch.bincount(data.train[1][forget], minlength=3).tolist()) == shares
        assert sorted([*retain.tolist(), *forget.tolist()]) == list(range(120))


def test_which_class_gives_one_more_is_drawn():
    data = iris()
    most = {
        int(torch.bincount(data.train[1][forget_few(data, 7, seed=s)[1]]).argmax())
        for s in range(20)
    }
    assert most == {0, 1, 2}


def test_nothing_forgotten_is_kept_as_a_copy():
    """Two features have many copies. Fails if any sample may be drawn."""
    data = iris(features=(2, 3))
    for seed in range(20):
        retain, forget = forget_few(data, 9, seed=seed)
        kept = {tuple(row) for row in data.train[0][retain].tolist()}
        assert not kept & {tuple(row) for row in data.train[0][forget].tolist()}


def test_a_seed_decides_the_request(same_random_state):
    data = iris()
    with same_random_state():
        drawn = [forget_few(data, 6, seed=s)[1].tolist() for s in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_too_few_without_a_copy_is_refused():
    x, y = torch.tensor([[0.1], [0.1], [0.2], [0.3]]), torch.tensor([0, 0, 1, 1])
    data = Dataset("tiny", (x, y), (x, y), ("a", "b"), "typed in")
    with pytest.raises(InputError, match=r"class 0 .a. has 0 training samples without a copy"):
        forget_few(data, 2)
