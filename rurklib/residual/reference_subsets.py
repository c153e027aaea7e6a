"""What fewer references would have said: the same measurement against random subsets of them.

One re-trained model is what most papers compare with. How much depends on which one, and how the
null band settles as more are trained, can be read off a run that has many.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from math import comb

import numpy as np
import pandas as pd

from rurklib import checks
from rurklib.residual.result import ResidualKnowledge

COLUMNS = [
    "tau", "ratio_of_means", "null_low", "null_high", "predict_low", "predict_high", "p_value",
    "difference", "null_difference_low", "null_difference_high",
]  # fmt: skip


def against_reference_subsets(
    result: ResidualKnowledge, name: str, sizes: Sequence[int], *, subsets: int = 30, seed: int = 0
) -> pd.DataFrame:
    """The rows of ``name`` against random subsets of the references.

    One row per size, subset and tau, with columns size, subset and those of
    :attr:`ResidualKnowledge.frame` that curves and bands need. All subsets are taken where there
    are no more than ``subsets`` of a size. The subsets overlap: their spread shows how much
    depends on the choice among *these* references, and is less than new ones would show.
    """
    rng = np.random.default_rng(seed)
    references = [r for r in result.references if r != name]
    frames = []
    for size in sizes:
        if not 1 <= checks.count("size", size) <= len(references):
            raise checks.InputError(
                f"size = {size}: expected a number of references from 1 to {len(references)}"
            )
        if comb(len(references), size) <= subsets:
            chosen = [list(c) for c in combinations(references, size)]
        else:
            drawn = [rng.choice(len(references), size, replace=False) for _ in range(subsets)]
            chosen = [[references[k] for k in some] for some in drawn]
        for i, some in enumerate(chosen):
            rows = replace(result, references=tuple(some), control_results={}).rows(name)
            rows = rows[COLUMNS]
            rows.insert(0, "size", size)
            rows.insert(1, "subset", i)
            frames.append(rows)
    return pd.concat(frames, ignore_index=True)
