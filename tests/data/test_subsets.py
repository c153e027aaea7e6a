"""Validation held out of the training side, and smaller parts: who is where, and who never is."""

from dataclasses import replace

import pytest
import torch

from rurklib.data import (
    Dataset,
    forget_part_of_a_class,
    head_of_each_class,
    hold_out_validation,
    rehearsed,
    subsample,
)


def numbered(train: int = 40, test: int = 20, classes: int = 4) -> Dataset:
    """Every sample is its own number, train 0 ..., test 1000 ...: it is known where it went."""

    def side(first: int, n: int):
        x = torch.arange(first, first + n, dtype=torch.float32)[:, None] / 10_000
        return x, torch.arange(n) % classes

    names = tuple("abcdef"[:classes])
    return Dataset("numbered", side(0, train), side(1000, test), names, "counted")


def numbers(x: torch.Tensor) -> list[int]:
    return (x[:, 0] * 10_000).round().long().tolist()


def test_what_is_held_out_leaves_the_training_side_and_nothing_else_moves():
    """20 % of every class, behind the test samples, each sample with its label. Fails if a sample
    is in both sides or lost, if classes give unequal shares, or test samples change places."""
    before = numbered()
    after = hold_out_validation(before, 0.2, seed=3)
    train, test = numbers(after.train[0]), numbers(after.test[0])
    assert after.validation_size == 8
    assert test[:20] == list(range(1000, 1020))
    assert sorted(train + test[20:]) == list(range(40))
    assert train == sorted(train)
    assert after.train[1].bincount().tolist() == [8] * 4
    assert after.test[1][20:].bincount().tolist() == [2] * 4
    for x, y in (after.train, (after.test[0][20:], after.test[1][20:])):
        assert y.tolist() == [n % 4 for n in numbers(x)]
    assert "8 training samples set aside" in after.provenance
    assert numbers(before.train[0]) == list(range(40))
    assert after.to("cpu").validation_size == 8  # else the official test samples would be drawn
    same, other = (hold_out_validation(before, 0.2, seed=s) for s in (3, 4))
    assert numbers(same.train[0]) == train != numbers(other.train[0])


@pytest.mark.parametrize("seed", [0, 5])
def test_a_split_validates_on_what_was_held_out_and_tests_on_all_else(seed):
    """Fails if an official test sample is used for choosing, or a held-out one is reported."""
    data = hold_out_validation(numbered(), 0.2, seed=1)
    split = forget_part_of_a_class(data, forget_class=1, seed=seed)
    assert split.test == tuple(range(20))
    assert split.validation == tuple(range(20, 28))
    assert split.held_out == tuple(range(1, 20, 4))
    assert (len(split.original), len(split.forget)) == (32, 4)
    played = rehearsed(split, data)
    assert played.test == split.validation
    assert not set(played.forget) & set(split.forget)
    plain = forget_part_of_a_class(numbered(), forget_class=1, seed=seed)
    assert len(plain.validation) == 4 * round(5 / 3)


def test_a_subsample_is_of_all_classes_alike_and_keeps_its_order():
    """10 of 4 classes: 3, 3, 2, 2. Fails if a class gives more than its part, or test samples are
    taken for training."""
    data = subsample(numbered(), train=10, test=8, seed=2)
    train, test = numbers(data.train[0]), numbers(data.test[0])
    assert data.train[1].bincount().tolist() == [3, 3, 2, 2]
    assert data.test[1].bincount().tolist() == [2] * 4
    assert train == sorted(train) != list(range(10))
    assert test == sorted(test)
    assert set(train) < set(range(40))
    assert set(test) < set(range(1000, 1020))
    assert data.train[1].tolist() == [n % 4 for n in train]
    assert data.validation_size == 0
    assert subsample(whole := numbered()) is whole


def test_a_smaller_part_is_within_a_larger_one():
    """And how much is trained on says nothing about who is tested on."""
    small, large = (subsample(numbered(), train=n, test=8) for n in (8, 20))
    assert set(numbers(small.train[0])) < set(numbers(large.train[0]))
    whole = subsample(numbered(), test=8)
    assert numbers(small.test[0]) == numbers(large.test[0]) == numbers(whole.test[0])
    other = subsample(numbered(), train=8, test=8, seed=1)
    assert numbers(other.train[0]) != numbers(small.train[0])


def test_the_head_of_each_class_in_order():
    """Fails if samples are drawn, sorted by class, or views that drag all the data along."""
    y = torch.tensor([2, 0, 1, 0, 0, 1, 2, 1, 2, 0, 1, 2])
    pair = numbered(12, 12, 3).train[0], y
    part = head_of_each_class(
        replace(numbered(classes=3), train=pair, test=pair), name="part", train=2, test=3, classes=2
    )
    assert numbers(part.train[0]) == [1, 2, 3, 5]
    assert part.train[1].tolist() == [0, 1, 0, 1]
    assert numbers(part.test[0]) == [1, 2, 3, 4, 5, 7]
    assert part.classes == ("a", "b")
    assert part.train[0].untyped_storage().nbytes() == 4 * 4
