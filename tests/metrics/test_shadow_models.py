"""KLoM and U-LiRA of margins drawn from normal distributions, whose answers have a closed form."""

import numpy as np
import pytest
from scipy import stats
from scipy.stats import norm

from rurklib.metrics.shadow_models import klom, klom_column, klom_normal, u_lira


def drawn(m, k, shift=0.0, spread=1.0, n=40, seed=0):
    """Margins of m unlearned models and k re-trained ones, on samples that differ in hardness."""
    rng = np.random.default_rng(seed)
    hard = rng.normal(0, 5, n)
    return hard + rng.normal(shift, spread, (m, n)), hard + rng.normal(0, 1, (k, n))


@pytest.mark.parametrize(("shift", "spread"), [(0.0, 1.0), (1.0, 1.0), (0.7, 0.5)])
def test_of_many_models_it_is_the_divergence_of_the_two_distributions(shift, spread):
    """Catches KL the wrong way round, base 2, and bins that differ between the sides."""
    found = klom(*drawn(20_000, 20_000, shift, spread))
    exact = (spread**2 + shift**2 - 1) / 2 - np.log(spread)
    assert found.mean() == pytest.approx(exact, abs=0.03)


def test_it_is_the_divergence_of_two_histograms():
    """SciPy's entropy, on bins that NumPy chooses. Catches a largest margin that isn't counted, a
    floor where a bin has re-trained models, and limits that aren't +-100."""
    own, others = (12 * side for side in drawn(100, 120, shift=1.5, n=1))
    own[0], others[0] = 1e6, -1e6
    edges = np.linspace(-100, 100, 21)
    p, q = (np.histogram(np.clip(side, -100, 100), edges)[0] / len(side) for side in (own, others))
    assert (p[q == 0] > 0).any()
    expected = stats.entropy(p, np.where((p > 0) & (q == 0), 1e-5, q))
    assert klom(own, others) == pytest.approx(expected)
    assert np.isnan(klom(own[:99], others)).all()
    assert np.isnan(klom(own, others[:99])).all()


@pytest.mark.parametrize("m", [1, 3])
@pytest.mark.parametrize("shift", [0.0, 2.0])
def test_of_few_models_the_shift_is_told_in_units_of_spread(m, shift):
    """shift^2 / 2, and what chance adds; catches a spread that isn't unbiased (5 / 6 of it)."""
    found = [klom_normal(*drawn(m, 6, shift, n=200, seed=seed)).mean() for seed in range(60)]
    assert np.mean(found) == pytest.approx((shift**2 + 1 / m + 1 / 6) / 2, rel=0.03)
    own, others = drawn(m, 6, shift)
    scaled = klom_normal(10 * own + 3, 10 * others + 3)
    assert scaled == pytest.approx(klom_normal(own, others))
    column = klom_column((own[0], None), [(other, None) for other in others])
    assert column == klom_normal(own[:1], others).mean()
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


def test_models_that_are_only_spread_otherwise_are_told_apart():
    """Of normals with sd 3 and 1 the wider is likelier beyond c = 1.572. Catches one spread for
    both kinds, and a density without its 1 / sd."""
    c = np.sqrt(2 * np.log(3) / (1 - 1 / 9))
    right = (2 * norm.sf(c / 3) + 1 - 2 * norm.sf(c)) / 2
    assert u_lira(*drawn(60, 60, spread=3.0)).accuracy == pytest.approx(right, abs=0.015)
