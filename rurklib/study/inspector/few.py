"""A small forgetting request over all classes: some samples of each, drawn by a seed."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from rurklib import checks, samples
from rurklib.data.dataset import Dataset


def forget_few(dataset: Dataset, n: int, *, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Indices (retain, forget) into ``dataset.train``, int64 and sorted; ``n`` to forget.

    Classes are drawn from as evenly as ``n`` allows; chance says which give one more. (Of a
    handful, :func:`rurklib.data.forget_part_of_a_class` could take none of some class.) Only a
    sample without an identical copy can be drawn: what is kept once more can't be forgotten.
    Raises InputError if a class has too few such samples.
    """
    checks.count("n", n)
    checks.count("seed", seed, 0)
    y, classes = dataset.train[1].cpu().numpy(), len(dataset.classes)
    single = ~pd.Series(samples.hashes(dataset.train[0])).duplicated(keep=False)
    rng = np.random.default_rng([seed, 3])
    forget: list[int] = []
    for c, share in enumerate(rng.permutation(n // classes + (np.arange(classes) < n % classes))):
        members = np.flatnonzero((y == c) & single)
        if len(members) < share:
            raise checks.InputError(
                f"n = {n}: class {c} ({dataset.classes[c]}) has {len(members)} training samples "
                f"without a copy, {share} are needed; forget fewer"
            )
        forget += rng.permutation(members)[:share].tolist()
    retain = np.setdiff1d(np.arange(len(y)), forget)
    return torch.from_numpy(retain), torch.tensor(sorted(forget), dtype=torch.int64)
