"""U-LiRA in simulated worlds where the attacker's accuracy has a closed form."""

import warnings

import numpy as np
import pytest
from scipy.stats import norm

from rurklib.checks import InputError
from rurklib.metrics.u_lira import u_lira
from rurklib.residual.statistics import placement


def world(m, k, shift=0.0, spread=1.0, n=60, seed=0):
    rng = np.random.default_rng(seed)
    hard = rng.normal(0, 6, n)
    return hard + rng.normal(shift, spread, (m, n)), hard + rng.normal(0, 1, (k, n))


@pytest.mark.parametrize("shift", [-2.0, 0.0, 1.0])
def test_with_many_shadows_the_attacker_is_as_good_as_can_be(shift):
    """Two normals of one spread: accuracy Phi(|shift| / 2). Catches a ratio the wrong way round."""
    found = u_lira(*world(60, 60, shift))
    assert found.accuracy == pytest.approx(norm.cdf(abs(shift) / 2), abs=0.015)


def test_a_method_that_is_like_re_training_leaves_a_coin_however_few_its_models():
    """Catches models that are among their own shadows, and one kind left out alone: with three
    shadows against twelve both move either share away from the other."""
    worlds = [u_lira(*world(3, 12, seed=seed)) for seed in range(200)]
    assert np.mean([w.accuracy for w in worlds]) == pytest.approx(0.5, abs=0.005)
    shares = [np.mean([getattr(w, side) for w in worlds]) for side in ("unlearned", "retrained")]
    assert shares[0] == pytest.approx(shares[1], abs=0.01)


def test_a_models_share_is_placed_among_its_rows():
    """Of models like re-trained ones 5 % are outside. Catches rows that are averaged: three
    times as many."""
    worlds = [u_lira(*world(3, 12, seed=seed)) for seed in range(150)]
    found = [placement(*own).finding for w in worlds for own in zip(*w[1:], strict=True)]
    assert np.mean([f != "inside" for f in found]) == pytest.approx(0.05, abs=0.025)


def test_models_that_are_only_spread_otherwise_are_told_apart():
    """Of normals with sd 3 and 1 the wider is likelier beyond c = 1.572. Catches one spread for
    both kinds, and a density without its 1 / sd."""
    c = np.sqrt(2 * np.log(3) / (1 - 1 / 9))
    right = (2 * norm.sf(c / 3) + 1 - 2 * norm.sf(c)) / 2
    assert u_lira(*world(60, 60, spread=3.0)).accuracy == pytest.approx(right, abs=0.015)


def test_models_far_apart_are_told_on_every_sample():
    own, others = world(3, 4, shift=100.0)
    found = u_lira(own, others)
    assert found.accuracy == 1
    assert found.unlearned.tolist() == [1] * 3
    assert found.retrained.tolist() == [[0] * 4] * 3
    own[1] = others.mean(axis=0)  # one of them isn't
    assert u_lira(own, others).unlearned.argmin() == 1


def test_too_few_leave_nothing_to_learn_a_spread_from():
    own, others = world(3, 3)
    assert np.isfinite(u_lira(own, others).accuracy)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # and not by way of a variance of one
        for few in ((own[:2], others), (own, others[:2])):
            assert np.isnan(u_lira(*few).accuracy)
    with pytest.raises(InputError, match="one model"):
        u_lira(own[[0, 0, 0]], others)
