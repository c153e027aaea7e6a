"""A few samples forgotten, spread over the classes."""

from __future__ import annotations

import pytest
import torch

from rurklib.checks import InputError
from rurklib.data.bundled import iris
from rurklib.data.dataset import Dataset
from rurklib.study.inspector.few import forget_few


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
