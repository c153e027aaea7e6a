"""KLoM and U-LiRA of margins drawn from normal distributions, whose answers have a closed form."""

import numpy as np
import pytest
from scipy.stats import norm

from rurklib.metrics.shadow_models import klom, klom_column, u_lira


def drawn(m, k, shift=0.0, spread=1.0, n=40, seed=0):
    """Margins of m unlearned models and k re-trained ones, on samples that differ in hardness."""
    rng = np.random.default_rng(seed)
    hard = rng.normal(0, 5, n)
    return hard + rng.normal(shift, spread, (m, n)), hard + rng.normal(0, 1, (k, n))


@pytest.mark.parametrize("m", [1, 3])
@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_of_few_models_the_shift_is_told_in_units_of_spread(m, shift):
    """shift^2 / 2, and what chance adds; catches a spread that isn't unbiased (5 / 6 of it)."""
    found = [klom(*drawn(m, 6, shift, n=200, seed=seed)).mean() for seed in range(60)]
    assert np.mean(found) == pytest.approx((shift**2 + 1 / m + 1 / 6) / 2, rel=0.03)
    own, others = drawn(m, 6, shift)
    scaled = klom(10 * own + 3, 10 * others + 3)
    assert scaled == pytest.approx(klom(own, others))
    column = klom_column((own[0], None), [(other, None) for other in others])
    assert column == klom(own[:1], others).mean()
    assert np.isnan(klom_column((own[0], None), [(others[0], None)]))


@pytest.mark.parametrize("shift", [-2.0, 0.0, 1.0])
def test_with_many_shadows_the_attacker_is_as_good_as_can_be(shift):
    """Two normals of one spread: accuracy Phi(|shift| / 2). Catches a ratio the wrong way round."""
    found = u_lira(*drawn(60, 60, shift))
    assert found.accuracy == pytest.approx(norm.cdf(abs(shift) / 2), abs=0.015)


def test_a_method_that_is_like_re_training_leaves_a_coin_however_few_its_models():
    """Catches models that are among their own shadows, and one kind left out alone: with three
    shadows against twelve both move either share away from the other."""
    worlds = [u_lira(*drawn(3, 12, seed=seed)) for seed in range(200)]
    assert np.mean([w.accuracy for w in worlds]) == pytest.approx(0.5, abs=0.005)
    unlearned, retrained = (np.mean([w[k] for w in worlds]) for k in (1, 2))
    assert unlearned == pytest.approx(retrained, abs=0.01)
    own, others = drawn(3, 4, shift=100.0)
    own[1] = others.mean(axis=0)
    assert u_lira(own, others).unlearned.argmin() == 1
