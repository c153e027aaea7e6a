"""How much of a ratio is memory; Tables C.6 to C.8 from counts made by hand, and of a small run."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from rurklib import study
from rurklib.residual.counts import Counts, Measurement
from rurklib.residual.result import ResidualKnowledge
from rurklib.study.doubts import TABLES, beyond, disagreement, from_counts, paper_table
from rurklib.study.run import ModelId, open_run


def test_what_is_seen_on_strangers_too_is_no_memory():
    """Fails if the ratio on held-out samples isn't divided out, or is the wrong way round."""
    references = np.array([[0.60], [0.64], [0.56], [0.60]])
    as_much = beyond(np.vstack([[[0.9]], references]), np.vstack([[[0.75]], references / 1.2]))
    assert as_much["ratio"] == pytest.approx(1.5)
    assert as_much["held_out_ratio"] == pytest.approx(1.5)
    assert as_much["memory"] == pytest.approx(0.9 / 0.75 / 1.2)
    only_here = beyond(np.vstack([[[0.9]], references]), np.vstack([[[0.5]], references / 1.2]))
    assert only_here["memory"] == pytest.approx(1.5)


def test_the_interval_is_where_one_more_reference_is_expected():
    """By SciPy: a t prediction of log ratios. Fails if the spread isn't that of one more model."""
    d = np.random.default_rng(0).normal(0.1, 0.05, (7, 1))
    found = {k: np.log(v) for k, v in beyond(np.exp(d) * 0.4, np.full((7, 1), 0.4)).items()}
    half = stats.t.ppf(0.975, 5) * d[1:].std(ddof=1) * np.sqrt(1 + 1 / 6)
    assert found["memory_low"] == pytest.approx(-half)
    assert found["memory_high"] == pytest.approx(half)
    assert found["memory"] == pytest.approx(d[0] - d[1:].mean())


def test_where_nothing_is_recognised_memory_is_not_a_number():
    """A zero on either side, of the model or of a re-trained one. Catches memory that is infinite,
    or none at all, with a p of exactly 0."""
    some, full = np.array([[0.5], [0.4], [0.5], [0.3]]), np.full((4, 1), 0.5)
    for i in range(4):
        nothing = some * (np.arange(4) != i)[:, None]
        for found in (beyond(nothing, full), beyond(full, nothing)):
            assert np.isnan([found["memory"], found["p"]]).all()


def test_a_run_has_it_for_every_model_and_the_ratio_is_that_of_its_curve(run):
    """Fails if a model is measured against itself, or held-out samples are taken for forgotten."""
    rows = study.memory(run)
    assert set(rows.method) == {"Original", "Same-prior", "Re-train", *run.scenario.methods}
    for column, part in (("ratio", "forget"), ("held_out_ratio", "held_out")):
        curve = study.by_method(study.residual(run, "gaussian", part=part))
        both = rows.merge(curve, on=["method", "seed", "tau"])
        assert len(both) == len(curve) == len(rows) - len(run.scenario.taus)
        assert np.allclose(both[column], both.ratio_of_means, equal_nan=True)


def counted(*hits) -> pd.DataFrame:
    """What ten copies of three samples at one radius say of a model m and of references."""
    names = [ModelId("m" if k == 0 else "Re-train", k) for k in range(len(hits))]
    found = {name: np.array([row]) for name, row in zip(names, hits, strict=True)}
    counts = Counts(Measurement(0.1, draws=10), found, found)
    return from_counts(ResidualKnowledge(counts, (names[0],), tuple(names[1:]), np.zeros(3)))


def test_tables_by_hand():
    """Hits of ten: m 8, 5, 3; references 4, 5, 0 and 9, 2, 3.

    C.6: m has more, and the reference some, on 1 + 1 of 6 pairs; with 3 / 0 on 3. Against the
    *mean* reference (6.5, 3.5, 1.5) it would be all three samples. C.7: at least |8 - 4| + 0 + 3 +
    1 + 3 + 0 = 11 copies of 60; at most 8 + 10 + 10 + 3 + 10 + 10 = 51. C.8: 14 of 30 missed.
    """
    row = counted([8, 5, 3], [4, 5, 0], [9, 2, 3]).iloc[0]
    wanted = [100 * share for share in (2 / 6, 3 / 6, 11 / 60, 51 / 60, 14 / 30)]
    assert row.iloc[3:].tolist() == pytest.approx(wanted)


def test_a_reference_is_compared_with_the_others():
    """Fails if it is compared with itself, which would halve what two of them differ by."""
    rows = counted([0, 0, 0], [10, 0, 5], [0, 0, 5])
    assert rows.disagreement_low[1:].tolist() == pytest.approx([100 / 3] * 2)


def test_disagreement_counts_wrong_answers_too():
    """Two copies of two samples: the models differ on one copy of four, and both are wrong there.
    Fails if C.7 is made of who is right, as hits alone would have it."""
    answers = {"m": np.array([[[1, 2], [1, 3]]]), 0: np.array([[[1, 2], [1, 4]]])}
    answers[1] = answers[0]
    found = np.concatenate(disagreement(answers, [0, 1]))
    assert found == pytest.approx([25.0, 0.0, 0.0])


def test_of_a_run(tmp_path):
    """Fails if models are asked about other radii or samples than their counts are: at tau 0, where
    all copies are the sample, what is counted bounds what is asked. Fails too if a seed isn't
    asked, for a table's mean would be of some seeds here and of others there."""
    small = {"training.epochs": 1, "references": 3, "draws": 4, "taus": [0.0, 0.2]}
    small |= {"methods": ["GD"], "GD.epochs": 1}
    run = open_run("digits", tmp_path / "r", seeds=[0, 1], settings=small)
    frame = study.neighbourhoods(run, draws=2)
    assert frame.disagreement.notna().all()
    by_seed = frame[(frame.method == "Original") & (frame.tau == 0.2)].disagreement
    assert by_seed.nunique() == len(run.seeds)
    exact = frame[frame.tau == 0]
    assert (exact.disagreement_low <= exact.disagreement + 1e-9).all()
    assert (exact.disagreement <= exact.disagreement_high + 1e-9).all()
    both = frame.merge(study.measure(run), on=["method", "seed", "tau"], suffixes=("", "_mean"))
    assert np.allclose(both.unlearn, 100 - 100 * both.forget_accuracy)
    for column in TABLES:
        table = paper_table(frame, column)
        assert list(table) == ["method", "tau 0", "tau 0.2"]
        assert list(table.method) == ["Original", "GD", "Re-train"]
