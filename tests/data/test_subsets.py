"""Validation taken from the training side, and smaller parts: who is where, and who never is."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from rurklib import InputError
from rurklib.data.dataset import Dataset
from rurklib.data.requests import forget_part_of_a_class, rehearsed
from rurklib.data.subsets import fewer, set_aside


def numbered(train: int = 40, test: int = 20, classes: int = 4) -> Dataset:
    """Every sample is its own number, train 0 ..., test 1000 ...: it is known where it went."""

    def side(first: int, n: int):
        x = torch.arange(first, first + n, dtype=torch.float32)[:, None] / 10_000
        return x, torch.arange(n) % classes

    names = tuple("abcdef"[:classes])
    return Dataset("numbered", side(0, train), side(1000, test), names, "counted")


def numbers(x: torch.Tensor) -> list[int]:
    return (x[:, 0] * 10_000).round().long().tolist()


def test_what_is_set_aside_leaves_the_training_side_and_nothing_else_moves():
    """20 % of every class, behind the test samples, each sample with its label. Fails if a sample
    is in both sides or lost, if classes give unequal shares, or test samples change places."""
    before = numbered()
    after = set_aside(before, 0.2, seed=3)
    train, test = numbers(after.train[0]), numbers(after.test[0])
    assert after.spare == 8
    assert test[:20] == list(range(1000, 1020))
    assert sorted(train + test[20:]) == list(range(40))
    assert train == sorted(train)
    assert after.train[1].bincount().tolist() == [8] * 4
    assert after.test[1][20:].bincount().tolist() == [2] * 4
    for x, y in (after.train, (after.test[0][20:], after.test[1][20:])):
        assert y.tolist() == [n % 4 for n in numbers(x)]
    assert "8 training samples set aside" in after.provenance
    assert numbers(before.train[0]) == list(range(40))


def test_the_seed_decides_who_is_set_aside():
    a, b, c = (numbers(set_aside(numbered(), 0.2, seed=s).train[0]) for s in (0, 0, 1))
    assert a == b != c


@pytest.mark.parametrize("seed", [0, 5])
def test_a_split_validates_on_what_was_set_aside_and_tests_on_all_else(seed):
    """Fails if an official test sample is used for choosing, or a set-aside one is reported."""
    data = set_aside(numbered(), 0.2, seed=1)
    split = forget_part_of_a_class(data, forget_class=1, seed=seed)
    assert split.test == tuple(range(20))
    assert split.validation == tuple(range(20, 28))
    assert split.held_out == tuple(range(1, 20, 4))
    assert len(split.original) == 32
    assert len(split.forget) == 4
    played = rehearsed(split, data)
    assert played.test == split.validation
    assert not set(played.forget) & set(split.forget)
    plain = forget_part_of_a_class(numbered(), forget_class=1, seed=seed)
    assert len(plain.validation) == 4 * round(5 / 3)


def test_it_stays_set_aside_on_another_device():
    """Fails if ``to`` forgets it: validation would be drawn from the official test samples."""
    data = set_aside(numbered(), 0.2)
    assert data.to("cpu").spare == 8
    assert data.to("cpu").digest == data.digest


def test_shares_that_cannot_be_set_aside():
    data = numbered()
    for share, says in ((0.0, "takes 0"), (1.0, "takes 40"), (1.5, "expected a finite number")):
        with pytest.raises(InputError, match=says):
            set_aside(data, share)
    with pytest.raises(InputError, match="8 spare samples"):
        set_aside(set_aside(data, 0.2), 0.2)
    with pytest.raises(InputError, match="all test samples are spare"):
        replace(data, spare=20)
    with pytest.raises(InputError, match="spare = -1"):
        replace(data, spare=-1)


def test_fewer_samples_are_of_all_classes_alike_and_keep_their_order():
    """10 of 4 classes: 3, 3, 2, 2. Fails if a class gives more than its part, or test samples are
    taken for training."""
    data = fewer(numbered(), train=10, test=8, seed=2)
    train, test = numbers(data.train[0]), numbers(data.test[0])
    assert data.train[1].bincount().tolist() == [3, 3, 2, 2]
    assert data.test[1].bincount().tolist() == [2] * 4
    assert train == sorted(train)
    assert test == sorted(test)
    assert set(train) < set(range(40))
    assert set(test) < set(range(1000, 1020))
    assert data.train[1].tolist() == [n % 4 for n in train]
    assert data.spare == 0
    assert train != list(range(10))


def test_a_smaller_part_is_within_a_larger_one():
    """And how much is trained on says nothing about who is tested on."""
    small, large = (fewer(numbered(), train=n, test=8) for n in (8, 20))
    assert set(numbers(small.train[0])) < set(numbers(large.train[0]))
    whole = fewer(numbered(), test=8)
    assert numbers(small.test[0]) == numbers(large.test[0]) == numbers(whole.test[0])
    other = fewer(numbered(), train=8, test=8, seed=1)
    assert numbers(other.train[0]) != numbers(small.train[0])


def test_fewer_of_data_with_some_set_aside():
    """Test and spare samples are each cut, and stay apart. Fails if spare ones become test ones."""
    data = fewer(set_aside(numbered(40, 20), 0.2), test=4)
    assert data.spare == 4
    assert all(n >= 1000 for n in numbers(data.test[0])[:4])
    assert all(n < 1000 for n in numbers(data.test[0])[4:])
    assert data.test[1][:4].bincount().tolist() == data.test[1][4:].bincount().tolist() == [1] * 4
    assert len(data.train[0]) == 32
    whole = fewer(set_aside(numbered(40, 20), 0.2), test=12)
    assert (len(whole.test[0]), whole.spare) == (20, 8)  # no more than there are
    only = fewer(set_aside(numbered(), 0.2), train=4)
    assert (len(only.test[0]), only.spare) == (28, 8)


def test_nothing_asked_is_the_data_themselves():
    data = numbered()
    assert fewer(data) is data


def test_more_than_there_is_and_classes_left_out_are_refused():
    for options, says in (
        ({"train": 100}, "train_images = 100: that is 25 samples of class 0 .a. of numbered, which "
         "has 10"),
        ({"test": 3}, r"test_images = 3: that is 0 samples of class 3 \(d\)"),
        ({"train": -1}, "train_images = -1"),
        ({"test": 2.5}, "test_images = 2.5"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=says):
            fewer(numbered(), **options)


def test_who_a_sample_belongs_to_stays_with_it():
    whole = replace(numbered(), groups=torch.arange(40) // 2)
    for part in (fewer(whole, train=20), set_aside(whole, 0.5)):
        assert part.groups is not None
        assert part.groups.tolist() == [n // 2 for n in numbers(part.train[0])]
