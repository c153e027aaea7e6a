"""A few samples forgotten, spread over the classes."""

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


def test_which_class_gives_one_more_is_drawn_by_the_seed(same_random_state):
    data = iris()
    with same_random_state():
        drawn = [forget_few(data, 7, seed=s)[1] for s in (*range(20), 0)]
    assert torch.equal(drawn[0], drawn[-1])
    assert {int(torch.bincount(data.train[1][index]).argmax()) for index in drawn} == {0, 1, 2}


def test_nothing_forgotten_is_kept_as_a_copy():
    """Two features have many copies. Fails if any sample may be drawn."""
    data = iris(features=(2, 3))
    for seed in range(20):
        kept, lost = (
            {tuple(row) for row in data.train[0][index].tolist()}
            for index in forget_few(data, 9, seed=seed)
        )
        assert not kept & lost


def test_too_few_without_a_copy_is_refused():
    x, y = torch.tensor([[0.1], [0.1], [0.2], [0.3]]), torch.tensor([0, 0, 1, 1])
    data = Dataset("tiny", (x, y), (x, y), ("a", "b"), "typed in")
    with pytest.raises(InputError, match=r"class 0 .a. has 0 training samples without a copy"):
        forget_few(data, 2)
