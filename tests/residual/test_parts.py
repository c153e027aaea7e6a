"""One p of several: its level, and what each of the several does to it."""

import numpy as np
import pytest
from scipy import stats

from rurklib.residual.parts import combined


@pytest.mark.parametrize("shares", [[0.01], [0.01, 0.01, 0.01], [0.02, 0.9], [1e-9, 0.4]])
def test_one_p_of_several(shares):
    """Equal ones stay; one of n below level / n is enough; a silent one takes nothing away."""
    p = combined(shares)
    assert min(shares) <= p * (1 + 1e-9) <= len(shares) * min(shares) * (1 + 1e-9)
    assert combined([*shares, np.nan]) == p
    assert combined([*shares[:-1], shares[-1] / 2]) < p
    assert np.isnan(combined([np.nan]))
    assert combined([0.7, 0.9]) == 0.7


def test_one_p_of_several_keeps_its_level():
    """Five p of normal numbers that correlate by 0, 0.5 and 0.9: 5 % of 20,000 are below 5 %."""
    rng = np.random.default_rng(3)
    for share in (0.0, 0.5, 0.9):
        z = np.sqrt(share) * rng.normal(size=(20_000, 1))
        z = z + np.sqrt(1 - share) * rng.normal(size=(20_000, 5))
        p = [combined(row) for row in 2 * stats.norm.sf(abs(z))]
        assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.012), share


@pytest.mark.parametrize("references", [3, 6, 12])
def test_one_p_of_seeds_that_share_their_references(references):
    """20,000 times three re-trained models as three seeds, held against the same references: 5 % of
    the joined p are below 5 %, where "in one seed of three at least" would be twice as often."""
    rng = np.random.default_rng(references)
    models = rng.normal(size=(20_000, 3 + references))
    own, others = models[:, :3], models[:, 3:]
    sd = others.std(1, ddof=1, keepdims=True) * np.sqrt(1 + 1 / references)
    p = 2 * stats.t.sf(abs(own - others.mean(1, keepdims=True)) / sd, references - 1)
    joined = np.array([combined(row) for row in p])
    assert np.mean(joined < 0.05) == pytest.approx(0.05, abs=0.01)
    assert np.mean(p.min(1) < 0.05) > 0.08
