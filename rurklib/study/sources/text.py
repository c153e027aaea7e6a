"""Labelled texts in ``.tsv`` files, embedded by a rule that has seen no text at all.

``path`` is a folder with ``train.tsv`` (and ``test.tsv`` where the source has one), or one
``.tsv`` file. A line is label TAB text, UTF-8, without a header; other columns, and a header, are
named by the caller. Where there is no test side, a third of each class is drawn for it by a seed.
Other files (``val.tsv``) are not read: a split takes its validation part from the test side.

**Embedding.** A vocabulary, or word vectors that were learnt, would have seen the forget samples
and would carry them into the re-trained references. So a word's vector is ``dim`` signs, taken from
a hash of the word itself: SHAKE-256, so the same on every machine, in every run and for every
model, with nothing to learn, keep or leak. Two words differ in half of their signs, and a word that
nobody has seen has a vector like any other. That is the data's representation, as pixels are an
image's: what a model makes of it, a learnt 1x1 convolution first, is learnt and can be forgotten.

x is [n, dim, length], a column for each of the first ``length`` tokens, and zero columns, which
are no word's, behind the last. There are no bounds. tau 1 is the size of a sign: noise of sd 1 is
as large as what it is added to. (Noise falls on empty columns too, as it falls on the background of
a digit.)

**Copies.** A text that stands on both sides of a split, or is retained and forgotten, has not been
forgotten. Every text is kept once: repeats are dropped (the same tokens in the window, so whatever
x equals another's), the first is kept, train before test. ``provenance`` says how many went.
"""

import functools
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rurklib import checks
from rurklib.checks import InputError
from rurklib.data import Dataset
from rurklib.tensors import Pair

TOKEN = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")
Row = tuple[str, str]  # label, text


@dataclass(frozen=True)
class Texts:
    """Texts as they are read, in the order of the :class:`Dataset` made from them."""

    train: tuple[Row, ...]
    test: tuple[Row, ...]
    classes: tuple[str, ...]
    repeats: int  # that were dropped, with texts that have no token


def tokens(text: str) -> list[str]:
    """Words and single punctuation marks, in lower case.

    >>> tokens("Don't call 0800-123!")
    ["don't", 'call', '0800', '-', '123', '!']
    """
    return TOKEN.findall(text.lower())


@functools.cache
def vector(token: str, dim: int) -> np.ndarray:
    """The signs of a token, float32 [dim] of -1 and 1: bits of its SHAKE-256 digest."""
    digest = hashlib.shake_256(token.encode()).digest(-(-dim // 8))
    bits = np.unpackbits(np.frombuffer(digest, np.uint8))[:dim]
    return bits.astype(np.float32) * 2 - 1


def embedded(texts: Sequence[str], dim: int, length: int) -> torch.Tensor:
    """x float32 [n, dim, length] of texts: a column for each of their first ``length`` tokens."""
    x = np.zeros((len(texts), dim, length), np.float32)
    for i, text in enumerate(texts):
        for j, token in enumerate(tokens(text)[:length]):
            x[i, :, j] = vector(token, dim)
    return torch.from_numpy(x)


def text(path: str | Path, *, dim: int = 64, length: int = 40, **columns: Any) -> Dataset:
    """Read texts as a :class:`Dataset`: x float32 [n, dim, length] of signs, without bounds.

    ``columns`` (label, column, header, seed) and errors are those of :func:`read`.
    """
    checks.count("dim", dim)
    found = read(path, length=length, **columns)

    def side(rows: Sequence[Row]) -> Pair:
        y = [found.classes.index(name) for name, _ in rows]
        return embedded([words for _, words in rows], dim, length), torch.tensor(y)

    place = Path(path)
    source = (
        f"texts in {place.name}, {found.repeats} repeats dropped; the first {length} tokens, each "
        f"{dim} signs hashed from the word"
    )
    sides = side(found.train), side(found.test)
    return Dataset(place.stem, *sides, found.classes, source, bounds=None)


def read(
    path: str | Path,
    *,
    length: int = 40,
    label: int = 0,
    column: int = 1,
    header: bool = False,
    seed: int = 0,
) -> Texts:
    """The texts themselves, without repeats (in their first ``length`` tokens) and without those
    that have no token; to show what was forgotten.

    ``label`` and ``column`` are the columns of label and text, from 0; ``header``: the first line
    names them; ``seed`` draws the test side where there is none. Raises InputError, in one line
    that names the file, for what can't be read.
    """
    for name, value, low in (("length", length, 1), ("label", label, 0), ("column", column, 0)):
        checks.count(name, value, low)
    if not str(path):
        raise InputError("path is empty: name the folder or .tsv file with --set path=FOLDER")
    place = Path(path).expanduser()
    files = [place / "train.tsv", place / "test.tsv"] if place.is_dir() else [place]
    if not files[0].is_file():
        raise InputError(
            f"{files[0]} does not exist: expected a .tsv file, or a folder with train.tsv (and "
            "test.tsv), a line for each text: label TAB text"
        )
    sides = [_rows(file, label, column, header) for file in files if file.is_file()]
    seen: set[tuple[str, ...]] = {()}
    single: list[list[Row]] = [[] for _ in sides]
    for rows, kept in zip(sides, single, strict=True):
        for row in rows:
            if (window := tuple(tokens(row[1])[:length])) not in seen:
                kept.append(row)
            seen.add(window)
    repeats = sum(map(len, sides)) - sum(map(len, single))
    train, test = single if len(single) == 2 else _parted(single[0], seed)
    classes = tuple(sorted({name for name, _ in train}))
    if len(classes) < 2:
        raise InputError(f"{files[0]} has texts of one label, {classes}: expected at least two")
    if unknown := sorted({name for name, _ in test} - set(classes)):
        raise InputError(
            f"{files[-1]} has label {unknown[0]!r}, which {files[0].name} doesn't: remove those "
            "texts, or name the column of the label"
        )
    if not test:
        raise InputError(f"{files[-1]} has no text that {files[0].name} doesn't: give others")
    return Texts(tuple(train), tuple(test), classes, repeats)


def _rows(file: Path, label: int, column: int, header: bool) -> list[Row]:
    """Label and text of each line of a file."""
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file} can't be read as UTF-8 text ({error}): save it so") from error
    rows = []
    for number, line in enumerate(lines[1:] if header else lines, start=1 + header):
        cells = line.rstrip("\r").split("\t")
        if line.strip() and len(cells) <= max(label, column):
            raise InputError(
                f"{file}, line {number} has {len(cells)} columns: expected label in column {label} "
                f"and text in column {column} (from 0), parted by tabs"
            )
        if line.strip():
            rows.append((cells[label].strip(), cells[column]))
    if not rows:
        raise InputError(f"{file} is empty: expected a line for each text: label TAB text")
    return rows


def _parted(rows: list[Row], seed: int) -> tuple[list[Row], list[Row]]:
    """Two thirds of each class to train on and a third to test on, each in the file's order."""
    rng, names = np.random.default_rng([seed, 0]), np.array([name for name, _ in rows])
    members = [rng.permutation(np.flatnonzero(names == name)) for name in np.unique(names)]
    test = {int(i) for own in members for i in own[: len(own) // 3]}
    numbered = list(enumerate(rows))
    return [r for i, r in numbered if i not in test], [r for i, r in numbered if i in test]
