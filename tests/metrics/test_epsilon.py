"""Epsilon at delta: known worlds, and SciPy's exact limits of a binomial rate."""

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from rurklib.checks import InputError
from rurklib.metrics.epsilon import bound, epsilon, epsilon_column, pooled, rate_limit


def column(values):
    return np.asarray(values, float)[:, None]


def test_an_attacks_errors_as_an_epsilon():
    """The two orders of the rates; an error of 0 is beyond all bounds; who calls all alike, or
    guesses, knows nothing."""
    fpr, fnr = np.array([0.1, 0.4, 0.0, 1.0, 0.5]), np.array([0.4, 0.1, 0.2, 0.0, 0.5])
    found = bound(fpr, fnr, 0.01)
    assert found == pytest.approx([np.log(0.59 / 0.1)] * 2 + [np.inf, 0, 0])


@pytest.mark.parametrize("count", [0, 1, 5, 12])
def test_the_limits_of_a_rate_are_clopper_and_pearsons(count):
    exact = binomtest(count, 12).proportion_ci(0.95, method="exact")
    assert rate_limit(np.array([count]), 12, 0.975) == pytest.approx(exact.high)
    assert rate_limit(np.array([count]), 12, 0.025) == pytest.approx(exact.low)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(("m", "k", "low"), [(3, 12, 0.10), (512, 512, 4.93)])
def test_models_that_do_not_overlap_have_what_their_number_allows(m, k, low, sign):
    """No errors among m and k: both limits are 1 - 0.025^(1/n). The numbers of epsilon.py's head.
    Catches attacks in one direction alone."""
    found = epsilon(sign * column(np.arange(m) + 100), sign * column(np.arange(k) - k))
    miss, alarm = (1 - 0.025 ** (1 / n) for n in (m, k))
    exact = max(np.log((1 - 1e-5 - a) / b) for a, b in ((alarm, miss), (miss, alarm)))
    assert found.low[0] == pytest.approx(exact)
    assert found.low[0] == pytest.approx(low, abs=0.005)
    assert (found.value[0], found.high[0]) == (np.inf, np.inf)


def test_at_randomised_response_it_is_the_one_that_was_put_in():
    """The answer is told right with chance e / (1 + e): epsilon is 1. Catches an inverted rate."""
    share = np.e / (1 + np.e)
    one, other = np.arange(10_000) < 10_000 * share, np.arange(10_000) >= 10_000 * share
    found = epsilon(column(one), column(other), delta=0.0)
    assert found.value[0] == pytest.approx(1, abs=1e-3)
    assert found.low[0] < 1 < found.high[0]
    assert found.high[0] - found.low[0] < 0.15


def test_of_two_normals_it_finds_the_threshold_that_tells_most():
    """Shift 1: at least log((1 - FNR) / FPR) where both are well known. Catches the attack with
    the largest epsilon, which a handful of models show; by chance re-trained ones have little."""
    rng = np.random.default_rng(0)
    own, others = rng.normal(1, 1, (20_000, 1)), rng.normal(0, 1, (20_000, 1))
    found = epsilon(own, others)
    t = np.linspace(-2, 2.5)  # beyond 3 a few models are all there is
    assert np.log(norm.sf(t - 1) / norm.sf(t)).max() < found.low[0]
    assert found.low[0] <= found.value[0] <= found.high[0]
    assert epsilon(rng.normal(size=(20_000, 1)), others).low[0] < 0.1


def test_a_rate_of_0_is_no_proof_unless_both_are():
    """Catches an epsilon that is infinite by chance; and one for models that say the same."""
    mixed = epsilon(column([1, 3, 5, 7]), column([0, 2, 4, 6]), delta=0.0)
    assert mixed.value[0] == pytest.approx(np.log(2))  # above 3: one of four missed, two alarms
    assert [limit[0] for limit in epsilon(column([1.0]), column([1.0]))] == [0, 0, np.inf]


def test_each_sample_has_its_own():
    rng = np.random.default_rng(1)
    own, others = rng.normal(0, 1, (2, 200, 5))
    own[:, 2] += 100
    found, alone = epsilon(own, others), epsilon(own[:, 3:4], others[:, 3:4])
    assert np.isinf(found.value).tolist() == [False, False, True, False, False]
    assert [limit[3] for limit in found] == [limit[0] for limit in alone]


def test_pooled_samples_have_their_means_taken_off():
    """Catches samples that are mixed before their hardness is taken off, and a re-trained model
    that is compared with a mean it is in as if it weren't."""
    rng = np.random.default_rng(1)
    hard = rng.normal(0, 50, 30)
    others = hard + rng.normal(0, 1, (6, 30))
    own = hard + rng.normal(0, 1, (2, 30))
    found = pooled(own[0] + 20, others)
    assert found.low[0] == pytest.approx(epsilon(column(range(30)), column(range(-180, 0))).low[0])
    rest = np.stack([o - np.delete(others, k, 0).mean(0) for k, o in enumerate(others)])
    one, other = (own[1] - others.mean(0)) / (7 / 6) ** 0.5, rest / (6 / 5) ** 0.5  # one spread
    expected = epsilon(column(one), column(other.ravel()))
    assert np.array(pooled(own[1], others)) == pytest.approx(np.array(expected))
    assert epsilon_column(own[1], list(others)) == expected.low[0]
    assert np.isnan(epsilon_column(own[1], [others[0]]))


@pytest.mark.parametrize("k", [2, 3, 6])
def test_one_more_re_trained_model_has_next_to_no_epsilon(k):
    """Margins of K + 1 nets that differ by chance alone, ten times. Fails if few references make
    an epsilon: 0.5 and 0.1 with two and three if each is left beside the mean of the others."""
    nets = np.random.default_rng(k).normal(size=(10, k + 1, 2000))
    assert np.mean([pooled(own, others).low for own, *others in nets]) < 0.05


def test_a_delta_that_is_none_is_refused():
    with pytest.raises(InputError, match=r"delta = 2.*\[0, 1\]"):
        epsilon(np.zeros((3, 1)), np.zeros((3, 1)), delta=2)
