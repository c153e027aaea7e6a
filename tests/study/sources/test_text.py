"""Texts: what is read, that nothing was learnt from them, and that no text is there twice."""

import hashlib

import numpy as np
import pytest
import torch

from rurklib.study.sources.text import embedded, read, text, tokens, vector


@pytest.fixture
def folder(tmp_path):
    """``folder(train, test=None)``: .tsv files of (label, text) rows."""

    def make(train, test=None):
        for name, rows in (("train", train), ("test", test)):
            if rows is not None:
                lines = "".join(f"{y}\t{x}\n" for y, x in rows)
                (tmp_path / f"{name}.tsv").write_text(lines, encoding="utf-8")
        return tmp_path

    return make


def numbered(n, label="a"):
    return [(label, f"this is number {i}") for i in range(n)]


def test_tokens_are_words_and_marks():
    assert tokens("It's 5 p.m. — don’t  STOP!\n") == [
        "it's", "5", "p", ".", "m", ".", "—", "don’t", "stop", "!",
    ]  # fmt: skip
    assert tokens(" \t ") == []
    assert tokens("crème brûlée") == ["crème", "brûlée"]


def test_a_words_vector_is_bits_of_its_hash():
    """The same on every machine. Fails with Python's salted ``hash``, or another byte order."""
    digest = hashlib.shake_256("crème".encode()).digest(2)
    bits = [(byte >> k) & 1 for byte in digest for k in range(7, -1, -1)]
    assert vector("crème", 16).tolist() == [2.0 * b - 1 for b in bits]
    assert vector("crème", 11).tolist() == vector("crème", 16).tolist()[:11]
    assert vector("a", 8).dtype == np.float32


def test_two_words_differ_in_half_of_their_signs():
    many = np.stack([vector(f"word{i}", 64) for i in range(300)])
    products = (many @ many.T)[np.triu_indices(300, 1)] / 64
    assert abs(products.mean()) < 0.005
    assert products.std() == pytest.approx(1 / 8, rel=0.03)
    assert abs(many.mean()) < 0.03


def test_a_column_for_each_token_and_zeros_behind():
    """Fails if the window is cut in front, or a text's words are not in their order."""
    x = embedded(["one two", "one two three four", "!"], dim=8, length=3)
    assert x.shape == (3, 8, 3)
    assert x.dtype == torch.float32
    columns = np.stack([vector(w, 8) for w in ("one", "two", "three")], axis=1)
    assert np.array_equal(x[1].numpy(), columns)
    assert torch.equal(x[0, :, :2], x[1, :, :2])
    assert not x[0, :, 2].any()
    assert x.ne(0).any(1).sum(1).tolist() == [2, 3, 1]


def test_no_text_has_a_say_in_anothers_embedding(folder, tmp_path):
    """A vocabulary made on all texts would carry the forgotten into the references. Fails if
    adding texts changes the others' numbers."""
    rows = [*numbered(9), ("b", "and so on")]
    few = text(folder(rows, [("a", "new")]))
    more = text(folder([*rows, ("b", "quite another")], [("a", "new")]))
    assert torch.equal(few.train[0], more.train[0][: len(few.train[0])])
    assert torch.equal(few.test[0], more.test[0])


def test_texts_as_a_data_set(folder):
    place = folder([*numbered(4, "ham"), ("spam", "call now")], [("spam", "win!")])
    data = text(place, dim=16, length=5)
    assert data.train[0].shape == (5, 16, 5)
    assert data.train[1].tolist() == [0, 0, 0, 0, 1]
    assert data.test[1].tolist() == [1]
    assert data.classes == ("ham", "spam")
    assert data.bounds is None
    assert set(data.train[0].unique().tolist()) == {-1.0, 0.0, 1.0}


def test_every_text_is_there_once(folder):
    """Repeats by case, space or what is cut off are the same x. Fails if one stands on both sides,
    or is counted wrongly."""
    train = [("a", "one two"), ("b", "three"), ("a", "One  TWO"), ("b", "x y z t u"), ("b", "!?")]
    test = [("a", "three"), ("a", "new"), ("b", "x y z t v"), ("a", "New"), ("a", " ")]
    found = read(folder(train, test), length=4)
    assert found.train == (("a", "one two"), ("b", "three"), ("b", "x y z t u"), ("b", "!?"))
    assert found.test == (("a", "new"),)
    assert found.repeats == 5
    data = text(folder(train, test), length=4)
    assert "5 repeats dropped" in data.provenance
    rows = [row.numpy().tobytes() for row in torch.cat([data.train[0], data.test[0]])]
    assert len(set(rows)) == len(rows)
    longer = read(folder(train, test), length=5)
    assert ("b", "x y z t v") in longer.test


def test_a_third_of_each_class_is_for_testing_where_there_is_no_test_side(folder):
    rows = [*numbered(30), *(("b", f"{i} more") for i in range(12))]
    found = read(folder(rows), seed=0)
    assert [sum(y == c for y, _ in found.test) for c in "ab"] == [10, 4]
    assert sorted([*found.train, *found.test]) == sorted(rows)
    assert list(found.train) == [r for r in rows if r in set(found.train)]  # in the file's order
    assert read(folder(rows), seed=1).test != found.test == read(folder(rows), seed=0).test
    whole = read(folder(rows) / "train.tsv")  # a file is read as a folder without a test side
    assert whole == found


def test_columns_and_a_header_are_named(tmp_path):
    file = tmp_path / "odd.tsv"
    file.write_text("id\ttext\tkind\r\n1\tone\tx\r\n2\ttwo\ty\r\n3\tthree\tx\n4\tfour\tx\n")
    found = read(file, label=2, column=1, header=True)
    assert {*found.train, *found.test} == {
        ("x", "one"),
        ("y", "two"),
        ("x", "three"),
        ("x", "four"),
    }
