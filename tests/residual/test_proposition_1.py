"""Proposition 1 of the paper (Eq. 2), on a case where both of its sides can be computed.

A model is a threshold t: it says y where x > t. Original is retrained as A ~ N(0, 1) and unlearned
as M ~ N(mu, 1). The nearest adversarial example of a sample x is the threshold itself, g_x(t) = t,
so g_x(M) and g_x(A) are those two Gaussians: the least delta for which they are (eps, delta)-
indistinguishable, and how probable a z is whose densities differ by more than e^(2 eps), both have
closed forms (Balle & Wang 2018, Theorem 8, for the first).

What the paper says: "with probability 2 delta / (1 - e^-eps)" the ratio of the two is outside
[e^-2eps, e^2eps]. Its Lemma A.1, on which it builds, bounds that probability from *above*: inside
with at least 1 - 2 delta / (1 - e^-eps). The tests show the bound from above to hold, and the
reading as "equals" or "at least", on which Lemma A.3 and Proposition 2 lean, to be false: the
printed value may be many times what is there, more than 1, or above 0 where M and A are alike. So
no amount of disagreement follows from (eps, delta) alone.
"""

import math

import numpy as np
import pytest

GRID = [(mu, eps) for mu in (0.3, 0.5, 1.0, 2.0) for eps in (0.05, 0.2, 1.0, 2.0)]


def cdf(z: float) -> float:
    return math.erfc(-z / math.sqrt(2)) / 2  # exact in the lower tail


def least_delta(mu: float, eps: float) -> float:
    """max over T of Pr[M in T] - e^eps Pr[A in T], the same with M and A exchanged."""
    return cdf(mu / 2 - eps / mu) - math.exp(eps) * cdf(-mu / 2 - eps / mu)


def outside(mu: float, eps: float) -> float:
    """Pr over z ~ A that the ratio of densities is outside [e^-2eps, e^2eps] (over M: the same).

    Its logarithm is mu z - mu^2 / 2, which is N(-mu^2 / 2, mu^2).
    """
    return cdf(mu / 2 - 2 * eps / mu) + cdf(-mu / 2 - 2 * eps / mu)


def printed(delta: float, eps: float) -> float:
    return 2 * delta / (1 - math.exp(-eps))


@pytest.mark.parametrize(("mu", "eps"), GRID)
def test_the_closed_forms_are_what_samples_of_adversarial_examples_show(mu, eps):
    """Fails if the two sides above are of something else than g_x(M) and g_x(A)."""
    rng = np.random.default_rng(0)
    x, z = 9.0, rng.standard_normal(400_000)  # thresholds of re-trained models
    g = x + (z - x)  # the least change that takes x across
    away = np.abs(mu * g - mu**2 / 2) > 2 * eps
    assert away.mean() == pytest.approx(outside(mu, eps), abs=0.004)
    m = g + mu
    worst = 0.5 * mu + eps / mu  # where the density of M is e^eps times that of A
    delta = (m > worst).mean() - math.exp(eps) * (g > worst).mean()
    assert delta == pytest.approx(least_delta(mu, eps), abs=0.012)


@pytest.mark.parametrize(("mu", "eps"), GRID)
def test_it_is_a_bound_from_above(mu, eps):
    """Lemma A.1's direction. Fails if the constant were too small."""
    assert 0 < outside(mu, eps) <= printed(least_delta(mu, eps), eps)


def test_it_is_neither_an_equality_nor_a_bound_from_below():
    """At the least delta already, where nothing is given away: never less than 2.9 times what is
    there, in places more than a million times, and above 1 for pairs that are plainly apart."""
    times = [printed(least_delta(mu, e), e) / outside(mu, e) for mu, e in GRID]
    assert min(times) == pytest.approx(2.93, abs=0.01)
    assert max(times) > 1e6
    assert max(printed(least_delta(mu, e), e) for mu, e in GRID) > 1


def test_models_that_are_alike_never_differ_whatever_delta_says():
    """M and A the same: (eps, delta)-indistinguishable for any eps and delta, so the printed
    probability is any number, and what is there is 0. As mu falls both do, but not alike."""
    assert printed(0.1, 0.5) > 0.5
    assert outside(1e-3, 0.5) == 0
    times = [printed(least_delta(mu, 1.0), 1.0) / outside(mu, 1.0) for mu in (2.0, 1.0, 0.5, 0.3)]
    assert times == sorted(times)
