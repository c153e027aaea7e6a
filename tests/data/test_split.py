"""Data sets and splits."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rurklib import InputError
from rurklib.data import Dataset, Split, difficulty, forget_part_of_a_class, rehearsed


def toy(n=60, classes=3, seed=0, **changes) -> Dataset:
    gen = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 256, (2 * n, 1, 2, 2), generator=gen, dtype=torch.uint8)
    y = torch.arange(2 * n) % classes
    names = tuple("abcdef"[:classes])
    fields = {"train": (x[:n], y[:n]), "test": (x[n:], y[n:]), "classes": names} | changes
    return Dataset(name="toy", provenance="random numbers", **fields)


def split_of(data=None, **options) -> Split:
    return forget_part_of_a_class(data or toy(), **{"forget_class": 1, **options})


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 99),
    forget_class=st.integers(0, 2),
    forget_share=st.sampled_from([0.1, 0.5, 1.0]),
    validation_share=st.sampled_from([0.1, 1 / 3, 0.9]),
)
def test_the_parts_partition_the_data(seed, forget_class, forget_share, validation_share):
    """Peers drew Original's data and the forget set with two seeds: 440 of 4,500 "forgotten"
    samples had never been trained on. Here retain and forget partition the training side, and
    validation and test the other."""
    data = toy()
    split = forget_part_of_a_class(
        data,
        forget_class=forget_class,
        forget_share=forget_share,
        validation_share=validation_share,
        seed=seed,
    )
    assert sorted(split.retain + split.forget) == list(range(60)) == list(split.original)
    assert sorted(split.validation + split.test) == list(range(60))
    y_train, y_test = data.train[1], data.test[1]
    assert all(y_train[i] == forget_class for i in split.forget)
    assert len(split.forget) == round(forget_share * 20)
    assert set(split.held_out) == {i for i in split.test if y_test[i] == forget_class}
    shares = torch.bincount(y_test[list(split.validation)], minlength=3)
    assert shares.tolist() == [round(validation_share * 20)] * 3


def test_pairs_come_from_the_right_side():
    """Fails if held_out or validation index the training side."""
    data, split = toy(), split_of()
    parts = dict.fromkeys(("retain", "forget", "original"), data.train)
    parts |= dict.fromkeys(("validation", "test", "held_out"), data.test)
    for part, (x, y) in parts.items():
        index = list(getattr(split, part))
        assert torch.equal(split.pair(data, part)[0], x[index])
        assert torch.equal(split.pair(data, part)[1], y[index])
    assert (split.pair(data, "held_out")[1] == 1).all()
    x, y = split_of(validation_share=0.0).pair(data, "validation")  # allowed, and an empty pair
    assert (x.shape, y.shape) == ((0, 1, 2, 2), (0,))


@pytest.mark.parametrize("part", ["retain", "forget", "validation", "test"])
def test_indices_are_those_of_samples(part):
    """-38 of 60 is sample 22 once more: fails if one sample can be in both sets."""
    split = split_of()
    with pytest.raises(InputError, match=f"split: {part} holds an index below 0"):
        replace(split, **{part: (-38, *getattr(split, part)[1:])})


# --- data sets ----------------------------------------------------------------------------------


def test_the_digest_sees_every_sample_label_shape_and_type():
    data = toy()
    (x, y), test = data.train, data.test
    x2, y2 = x.clone(), y.clone()
    x2[59, 0, 1, 1] ^= 1
    y2[59] = (y2[59] + 1) % 3
    others = toy(train=(x2, y)), toy(train=(x, y2)), toy(train=test, test=data.train)
    shaped = toy(train=(x.view(60, 4), y), test=(test[0].view(60, 4), test[1]))
    assert len({d.digest for d in (data, shaped, *others)}) == 5
    assert toy().digest == data.digest == data.to("cpu").digest


def test_samples_of_any_class():
    """Fails if they come from one class, or if held-out samples do."""
    data = toy()
    split = split_of(data, forget_class=-1, forget_share=0.2, seed=3)
    assert len(split.forget) == round(0.2 * 60)
    assert len({int(data.train[1][i]) for i in split.forget}) == 3
    assert split.held_out == split.test
    assert split.of_class(data.test[1]).all()
    assert not split_of(data).of_class(data.test[1]).all()
    again = rehearsed(split, data)
    assert not set(again.forget) & set(split.forget)
    assert len(again.forget) == len(split.forget)
    assert len({int(data.train[1][i]) for i in again.forget}) == 3


def test_the_hardest_are_those_whose_neighbours_are_strangers():
    """On a line: class a at 0 ... 9, class b at 50 ... 59, and one a among the b's, at 54.5."""
    places = [*range(10), 54.5, *range(50, 60)]
    x = torch.tensor(places).view(-1, 1) / 60
    y = torch.tensor([0] * 11 + [1] * 10)
    data = Dataset("line", (x, y), (x, y), ("a", "b"), provenance="made up")
    hardness = difficulty(x, y, np.arange(21))
    assert hardness[10] == pytest.approx((45.5 + 46.5 + 47.5) / (0.5 + 0.5 + 1.5))
    assert hardness.argmax() == 10
    assert (np.delete(hardness, 10) < 1).all()
    hard = split_of(data, forget_class=0, forget_share=0.1, forget_order="hard")
    easy = split_of(data, forget_class=0, forget_share=0.1, forget_order="easy")
    assert hard.forget == (10,)
    assert easy.forget[0] in range(10)
