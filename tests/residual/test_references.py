"""Copies, one that saw the forget samples, and guessing: on made-up answers with a known truth."""

import numpy as np
import pytest

from rurklib.residual.references import at_chance, copies, outstanding, unlike

DRAWS = 20


def worlds(rng, k, shift=0.0):
    """Hits and margins of k references on 30 samples at two taus; the last is ``shift`` higher."""
    margins = 1.0 + rng.normal(size=30) + 0.3 * rng.normal(size=(k, 1, 1))
    margins = margins + 0.5 * rng.normal(size=(k, 1, 30)) + np.zeros((k, 2, 1))
    margins[-1] += shift
    return rng.binomial(DRAWS, 1 / (1 + np.exp(-margins))), margins


def test_copies_are_told_and_others_are_not():
    """To rounding, and not beyond. Fails if two models of equal means are taken for one."""
    rng = np.random.default_rng(0)
    _, m = worlds(rng, 4)
    rounded = m[1] * (1 + 1e-6 * rng.normal(size=m[1].shape))
    mirrored = 2 * m[0].mean() - m[0]  # the same mean and spread
    values = np.stack([m[0], m[1], rounded, mirrored, m[0] + 0.05])
    assert copies(values) == {2: 1}
    assert copies(values[[0, 0, 1, 0]]) == {1: 0, 3: 0}
    assert copies(values[[0, 0, 1]], models=2) == {}  # two models may be one


def test_constant_answers_are_compared_to_rounding():
    assert copies(np.full((3, 1, 4), 0.1)) == {1: 0, 2: 0}
    assert copies(np.array([0.1, 0.2])[:, None, None] + np.zeros((2, 1, 4))) == {}


def test_one_that_knows_more_stands_out():
    """Six alike: one set in twenty is flagged, at most; with one raised, nearly all, and by name.
    Fails if a level of 5 % is taken for each of the six, or lower ones are flagged too."""
    rng = np.random.default_rng(1)

    def found(shift):
        hits, margins = worlds(rng, 6, shift)
        return outstanding(hits, margins, DRAWS)

    assert np.mean([found(0.0) is not None for _ in range(300)]) <= 0.05 + 0.025
    raised = [found(5.0) for _ in range(50)]
    assert np.mean([r is not None and r[0] == 5 for r in raised]) >= 0.9
    assert sum(found(-5.0) is not None for _ in range(50)) <= 5
    assert outstanding(*worlds(rng, 3, 5.0), DRAWS) is None  # two can't tell of a third


def test_guessing():
    hits = np.zeros((3, 2, 10), int)
    hits[:, 0, :2] = DRAWS
    hits[:, 1] = DRAWS  # at the first tau alone
    assert at_chance(hits, DRAWS, 5)
    assert not at_chance(hits, DRAWS, 6)


def test_other_shares_of_samples_that_nobody_saw():
    """Fails if the level is spent by each of them, or fewer isn't a difference as more is."""
    right = {"more": (40, 20), "fewer": (20, 40), "as many": (30, 29)}
    found = unlike(right, (40, 40))
    assert list(found) == ["more", "fewer"]
    assert found["more"] == found["fewer"] == pytest.approx(7.8e-8, rel=0.01)
    alone = {"one": (12, 5)}  # p = 0.004 ... 0.01: enough for one, not for each of six
    (p,) = unlike(alone, (12, 12)).values()
    assert 0.01 / 6 < p < 0.01
    assert unlike({f"{k}": (12, 5) for k in range(6)}, (12, 12)) == {}
    assert unlike({}, (12, 12)) == {}
