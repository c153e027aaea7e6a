"""The exchangeability test: its level is exact, it finds what was planted on either side, and it is
what an independent permutation test says."""

import numpy as np
import pytest
import torch
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


@pytest.mark.parametrize(
    ("n", "m", "k", "classes"), [(8, 30, 0, 1), (45, 20, 2, 3), (30, 30, 6, 1)]
)
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
    named = {lead: exchange(*world(rng, 40, 60, 6, lead=lead), relabellings=R) for lead in (3, -3)}
    assert (named[3].finding, named[-3].finding) == (SURER, LESS_SURE)
    assert "40 forget samples" in str(named[3])
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


def test_one_sample_and_equal_margins_give_a_p_and_no_finding():
    same = np.ones((1, 2, 5))
    found = exchange(same, same, np.zeros(5), np.zeros(5), relabellings=R)
    assert (found.p, found.finding) == (1.0, ALIKE)
    one = exchange(same[..., :1] * 9, same, np.zeros(1), np.zeros(5), relabellings=R)
    assert one.p >= 1 / 6 - 0.1


def test_a_measurement_has_it_where_held_out_samples_were_measured(cnn, images):
    """Of the model's own margins less its references', sample by sample, and no reference's own."""
    x, y = images(24)
    models = {f"m{k}": cnn(k) for k in range(4)}
    references = [models[f"m{k}"] for k in (1, 2, 3)]
    asked = {"taus": [0.0, 0.1], "draws": 5, "controls": {"held out": (x[12:], y[12:])}}
    result = rurklib.residual_knowledge(models["m0"], references, x[:12], y[:12], **asked)
    found = result.exchange("model")
    counts, theirs = (
        r.counts["model"].margins for r in (result, result.control_results["held out"])
    )
    own = [v[0] - v[1:].mean(0) for v in (counts, theirs)]
    apart = [sum((y[:12] == c).sum().item() / 12 * (own[0][t][y[:12] == c].mean()
             - own[1][t][y[12:] == c].mean()) for c in range(3)) for t in range(2)]  # fmt: skip
    assert found.difference == pytest.approx(apart)
    assert found.n == (12, 12)
    assert found.references == 3
    farthest = np.abs(found.z).argmax()
    assert f"at tau = {found.taus[farthest]:g}, where" in str(found)
    assert f"are {apart[farthest]:+.3g} logits" in str(found)
    assert result.exchange("reference-0").references == 2
    assert str(result.judge("model")) in " ".join(repr(result).split())


def test_held_out_samples_of_another_kind_are_told(planted):
    """By right answers at the first tau, on samples of the classes that both have. Fails if labels
    of other classes count, or another tau's answers."""
    (x, y), (hx, hy) = planted.pair("forget"), planted.pair("held_out")
    hx, hy = torch.cat([hx] * 5), torch.cat([hy] * 5)  # enough for few forgotten ones to tell

    def unlike(some, labels):
        return rurklib.residual_knowledge(
            planted.original, planted.references, x[some], y[some],
            controls={"held out": (hx, labels)}, taus=[0.0, 5.0], draws=3,
        ).unlike_held_out  # fmt: skip

    everyone, one = y >= 0, y == 0
    assert unlike(everyone, hy) == {}
    assert list(unlike(everyone, (hy + 1) % 3)) == [f"reference-{k}" for k in range(6)]
    assert unlike(one, torch.where(hy == 0, 0, 3 - hy)) == {}
    assert unlike(one, (hy + 1) % 3)


@pytest.mark.parametrize("law", ["gaussian", "pgd"])
def test_without_a_reference_there_is_this_and_no_verdict(cnn, images, law):
    x, y = images(24)
    asked = {"taus": [0.0, 0.1], "draws": 3, "perturbation": law}
    beside = {"held out": (x[12:], y[12:])}
    result = rurklib.residual_knowledge(cnn(0), [], x[:12], y[:12], controls=beside, **asked)
    assert result.exchange("model").references == 0
    assert result.verdict.finding == "no verdict"
    assert "no re-trained model" in repr(result)
    assert [flag.name for flag in result.flags] == ["few references"]
    frame = result.frame
    known = frame.columns[frame.notna().all()]
    assert list(known) == ["tau", "forget_accuracy", "margin"]
