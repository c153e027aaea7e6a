"""How much of a ratio is memory."""

import numpy as np
import pandas as pd
import pytest

from rurklib import study
from rurklib.study.stages.memory import beyond


def test_what_is_seen_on_strangers_too_is_no_memory():
    """Fails if the ratio on held-out samples isn't divided out, or is the wrong way round."""
    references = np.array([[0.60], [0.64], [0.56], [0.60]])
    as_much = beyond(np.vstack([[[0.9]], references]), np.vstack([[[0.75]], references / 1.2]))
    assert as_much["ratio"] == pytest.approx(1.5)
    assert as_much["held_out_ratio"] == pytest.approx(1.5)
    assert as_much["memory"] == pytest.approx(0.9 / 0.75 / 1.2)
    only_here = beyond(np.vstack([[[0.9]], references]), np.vstack([[[0.5]], references / 1.2]))
    assert only_here["memory"] == pytest.approx(1.5)
    assert np.isnan(only_here["p"])  # references that don't vary tell nothing


def test_the_interval_is_where_one_more_reference_is_expected():
    """By SciPy: a t prediction of log ratios. Fails if the spread isn't that of one more model."""
    from scipy import stats

    rng = np.random.default_rng(0)
    d = rng.normal(0.1, 0.05, (7, 1))
    found = beyond(np.exp(d) * 0.4, np.full((7, 1), 0.4))
    rest = d[1:, 0]
    half = stats.t.ppf(0.975, 5) * rest.std(ddof=1) * np.sqrt(1 + 1 / 6)
    assert np.log(found["memory_low"]) == pytest.approx(-half)
    assert np.log(found["memory_high"]) == pytest.approx(half)
    assert np.log(found["memory"]) == pytest.approx(d[0, 0] - rest.mean())


def test_where_nothing_is_recognised_memory_is_not_a_number():
    """A zero on either side, of the model or of a re-trained one. Catches memory that is infinite,
    or none at all, with a p of exactly 0."""
    some, full = np.array([[0.5], [0.4], [0.5], [0.3]]), np.full((4, 1), 0.5)
    for i in range(4):
        nothing = some * (np.arange(4) != i)[:, None]
        for found in (beyond(nothing, full), beyond(full, nothing)):
            assert np.isnan([found["memory"], found["p"]]).all()
            assert np.isnan(found["memory_low"]).all() == (i > 0)


def test_a_run_has_it_for_every_model_and_the_ratio_is_that_of_its_curve(run):
    """Fails if a model is measured against itself, or held-out samples are taken for forgotten."""
    told = study.memory(run)
    assert set(told.method) == {"Original", "Same-prior", "Re-train", *run.scenario.methods}
    curve = pd.read_csv(run.folder / "residual_knowledge.csv").query("perturbation == 'gaussian'")
    both = told.merge(curve, on=["method", "seed", "tau"])
    assert len(both) == len(curve) == len(told) - len(run.scenario.taus)
    assert np.allclose(both.ratio, both.ratio_of_means, equal_nan=True)
    unseen = study.by_method(study.residual(run, "gaussian", part="held_out"))
    both = told.merge(unseen, on=["method", "seed", "tau"])
    assert np.allclose(both.held_out_ratio, both.ratio_of_means, equal_nan=True)
    less = study.memory(run, equal_shares=False)
    rest = told[told.method != "Same-prior"].reset_index(drop=True)
    pd.testing.assert_frame_equal(less, rest)
