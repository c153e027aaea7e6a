"""The exchangeability test: its level is exact, it finds what was planted on either side, and it is
what an independent permutation test says."""

import numpy as np
import pytest
from scipy import stats

import rurklib
from rurklib.residual.exchange import ALIKE, LESS_SURE, SURER, exchange

R = 199  # relabellings: p comes in steps of 0.005


def world(rng, n, m, k=0, taus=3, lead=0.0, classes=1):
    """Margins [1 + k, tau, sample] of forget and held-out samples whose difficulty all share, with
    heavy tails and dependent radii; the model has a ``lead`` on the forgotten ones."""
    y = [np.arange(size) % classes for size in (n, m)]
    groups = []
    for size, its in zip((n, m), y, strict=True):
        hard = rng.standard_t(2, size=size) * 3 + 5 * its
        own = rng.standard_t(3, size=(1 + k, 1, size))
        groups.append(hard + own + 0.3 * rng.normal(size=(1 + k, taus, size)))
    groups[0][0] += lead
    return (*groups, *y)


@pytest.mark.parametrize(("n", "m", "k", "classes"), [(8, 30, 0, 1), (45, 20, 2, 3)])
def test_the_level_is_exact(n, m, k, classes):
    """Of 500 worlds without memory, 5 % are found at 5 %, and 20 % at 20 %: within four standard
    errors. Fails if relabellings cross classes, whose margins differ by 5, or if the true labels
    have no place among them."""
    rng = np.random.default_rng(0)
    p = np.array([exchange(*world(rng, n, m, k, classes=classes), relabellings=R, seed=i).p
                  for i in range(500)])  # fmt: skip
    for level in (0.05, 0.2):
        assert (p <= level).mean() == pytest.approx(
            level, abs=4 * (level * (1 - level) / 500) ** 0.5
        )
    assert p.min() >= 1 / (R + 1)


def test_it_is_an_ordinary_permutation_test_at_one_radius():
    """Beside SciPy's, all 792 relabellings of 5 among 12."""
    rng = np.random.default_rng(3)
    forget, held_out, *y = world(rng, 5, 7, taus=1, lead=6.0)
    found = exchange(forget, held_out, *y, relabellings=20_000)

    def apart(a, b):
        return a.mean() - b.mean()

    exact = stats.permutation_test((forget[0, 0], held_out[0, 0]), apart, n_resamples=np.inf)
    assert found.p == pytest.approx(exact.pvalue, abs=0.01)
    assert found.difference[0] == pytest.approx(exact.statistic)
    spread = exact.null_distribution.std()
    assert found.z[0] == pytest.approx(exact.statistic / spread, rel=0.03)


def test_a_lead_is_found_on_either_side_and_references_sharpen():
    rng = np.random.default_rng(1)
    for lead, finding in ((3, SURER), (-3, LESS_SURE)):
        assert exchange(*world(rng, 40, 60, 6, lead=lead), relabellings=R).finding == finding
    found = {}
    for k in (0, 1, 6):
        worlds = [world(rng, 40, 60, k, lead=2.0) for _ in range(60)]
        found[k] = np.mean([exchange(*its, relabellings=R).p <= 0.05 for its in worlds])
    assert found[0] + 0.3 < found[1]
    assert min(found[1], found[6]) > 0.8


def test_a_model_that_lowers_the_whole_class_treats_nobody_differently():
    rng = np.random.default_rng(2)
    forget, held_out, *y = world(rng, 40, 60, 2)
    forget[0] -= 20
    held_out[0] -= 20
    assert exchange(forget, held_out, *y, relabellings=R).finding == ALIKE


@pytest.mark.parametrize("perturbation", ["gaussian", "pgd"])
@pytest.mark.parametrize("k", [0, 3])
def test_a_measurement_has_it_where_held_out_samples_were_measured(perturbation, k, cnn, images):
    """Of the model's margins less its references', if any, sample by sample, each on its own
    copies. Fails if classes don't weigh as their forget samples do."""
    (x, y), nets = images(24), [cnn(i) for i in range(k + 1)]
    result = rurklib.residual_knowledge(
        *(nets[0], nets[1:], x[:12], y[:12]),
        taus=[0.0, 0.1],
        draws=3,
        perturbation=perturbation,
        controls={"held out": (x[12:], y[12:])},
    )
    found = result.exchange("model")
    apart = []
    for part in (result, result.control_results["held out"]):
        margins = part.counts.margins
        rest = sum(margins[r] for r in result.references) / max(k, 1)
        apart.append((margins["model"] - rest).reshape(2, 4, 3).mean((1, 2)))
    assert found.difference == pytest.approx(apart[0] - apart[1])
    assert (found.n, found.references) == ((12, 12), k)
    if not k:
        assert result.verdict.finding == "no verdict"
        known = result.frame.columns[result.frame.notna().all()]
        assert list(known) == ["tau", "forget_accuracy", "margin"]
        assert result.flags == []
