"""Fewer references: every row is what a measurement with just those references gives."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from rurklib import residual_knowledge
from rurklib.residual.reference_subsets import against_reference_subsets

OPTIONS = {"taus": [0.0, 0.2], "draws": 8}


@pytest.fixture
def result(cnn, images):
    x, y = images(12)
    return residual_knowledge({"m": cnn(0)}, [cnn(i) for i in range(1, 6)], x, y, **OPTIONS)


def test_all_subsets_where_they_are_few(result):
    """Fails if a subset's band is that of all references, or if one is missing."""
    table = against_reference_subsets(result, "m", [4])
    assert table.subset.nunique() == 5
    for i, some in enumerate(combinations(result.references, 4)):
        rows = replace(result, references=some).rows("m")
        own = table[table.subset == i]
        for column in ("ratio_of_means", "null_high", "predict_low", "p_value", "difference"):
            assert np.array_equal(own[column], rows[column], equal_nan=True), column


def test_random_subsets_where_they_are_many(result):
    table = against_reference_subsets(result, "m", [1, 2], subsets=3, seed=1)
    assert table.groupby("size").subset.nunique().to_dict() == {1: 3, 2: 3}
    again = against_reference_subsets(result, "m", [1, 2], subsets=3, seed=1)
    assert table.equals(again)
    assert not table.equals(against_reference_subsets(result, "m", [1, 2], subsets=3, seed=2))
    single = {tuple(replace(result, references=(r,)).rows("m").ratio_of_means) for r in
              result.references}  # fmt: skip
    ones = table[table["size"] == 1].groupby("subset").ratio_of_means
    assert all(tuple(v) in single for _, v in ones)


def test_models_may_be_named_by_pairs(result):
    """Fails if names become an array on the way: a study's models are (method, seed)."""
    names = {old: ("m" if old == "m" else "Re-train", i) for i, old in enumerate(result.counts)}
    counts = {
        names[own]: replace(its, models=tuple(names[m] for m in its.models))
        for own, its in result.counts.items()
    }
    references = tuple(names[r] for r in result.references)
    paired = replace(result, counts=counts, models=(names["m"],), references=references)
    table = against_reference_subsets(paired, names["m"], [2], subsets=3, seed=1)
    assert table.equals(against_reference_subsets(result, "m", [2], subsets=3, seed=1))


def test_a_reference_is_never_held_against_itself(result):
    """Fails if a subset may contain the reference that is judged: its ratio would be 1."""
    own = result.references[0]
    table = against_reference_subsets(result, own, [1], subsets=99)
    assert table.subset.nunique() == 4
