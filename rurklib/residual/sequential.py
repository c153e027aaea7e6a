"""When to stop drawing: where more draws can't move a ratio by more than a stated amount.

How many draws a ratio needs differs between radii: where nearly all copies are recognised a few
tell what a hundred would. So after every ``STEP`` draws the 95 % Monte Carlo interval of every
ratio is looked at (each model to the mean reference, each reference to the others), and drawing
stops when all are no wider than +- tolerance. All models stop together, for they share copies.

This interval is about the draws alone. It says nothing about other references or other samples,
whose share in a verdict's uncertainty no number of draws makes smaller.
"""

from collections.abc import Collection, Hashable, Sequence

import numpy as np
from scipy.special import stdtrit

STEP = 10  # draws between two looks


def tolerance_met(
    totals: Sequence[np.ndarray],
    n: int,
    names: Sequence[Hashable],
    references: Collection[Hashable],
    tolerance: float | None,
) -> bool:
    """Whether the draws made so far suffice. Without a tolerance, or anything to compare with, they
    never do.

    ``totals`` are pieces [model, draw] of hits summed over the n samples; ``names`` the models,
    ``references`` those of them that others are compared with. Raises nothing; where no reference
    has recognised anything yet, the answer is no.
    """
    if tolerance is None or not totals:
        return False
    widths = half_widths(np.concatenate(totals, axis=1), n, names, references)
    return len(widths) > 0 and bool((widths <= tolerance).all())


def half_widths(
    hits: np.ndarray, n: int, names: Sequence[Hashable], references: Collection[Hashable]
) -> np.ndarray:
    """Half the 95 % Monte Carlo interval of every ratio that can be formed; infinite: no idea.

    ``hits`` int [model, draw], over n samples. Draws are independent, but models are not, on one
    draw: the delta method takes the variance of own - ratio * others draw by draw. Where nothing
    has varied yet, that would be zero; by the rule of three up to 3 of all draws x samples may
    still.
    """
    shares, draws = hits / n, hits.shape[1]
    widths = []
    for m, name in enumerate(names):
        rest = [k for k, other in enumerate(names) if other in references and other != name]
        if not rest:
            continue
        others = shares[rest].mean(axis=0)
        level = others.mean()
        if level == 0 or draws < 2:
            widths.append(np.inf)
            continue
        apart = shares[m] - shares[m].mean() / level * others
        error = stdtrit(draws - 1, 0.975) * apart.std(ddof=1) / np.sqrt(draws)
        widths.append(max(error, 3 / (draws * n)) / level)
    return np.array(widths)
