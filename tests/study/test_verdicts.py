"""What is said of each model: worked out from counts made by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from rurklib import study
from rurklib.residual.counts import Counts, Measurement
from rurklib.residual.exchange import ALIKE, SURER
from rurklib.residual.result import ResidualKnowledge
from rurklib.residual.verdict import STATISTICS, combined
from rurklib.study.report import findings_table, in_seeds
from rurklib.study.run import ModelId


def counts(recognised):
    """Models with so many of 40 samples recognised at tau 0.1, all of them at 0; 10 draws."""
    hits = {name: np.zeros((2, 40), dtype=int) for name in recognised}
    for name, n in recognised.items():
        hits[name][0] = hits[name][1, :n] = 10
        hits[name][1, n : n + 3] = 5  # so copies aren't alike
    margins = {name: own / 5.0 - 1 for name, own in hits.items()}
    return Counts(Measurement((0.0, 0.1), draws=10), hits, margins)


@pytest.fixture
def result():
    seen = {("GD", 0): 37, ("GD", 1): 22, ("RURK", 0): 3, ("RURK", 1): 21}
    own = {ModelId(*name): n for name, n in seen.items()}
    others = {ModelId("Re-train", k): n for k, n in enumerate((20, 22, 18, 23, 19, 24))}
    return ResidualKnowledge(counts({**own, **others}), tuple(own), tuple(others), np.zeros(40))


def test_each_model_is_judged_alone(result):
    """Fails if seeds are averaged first: RURK's mean would be below, GD's above, in two each."""
    table = study.verdicts(result).set_index(["method", "seed"])
    assert table.by_ratio.tolist() == ["above", "inside", "below", "inside"]
    assert (table.tau == 0.1).all()
    found = table.loc[("GD", 0)]
    assert found.ratio_of_means == pytest.approx(38.5 / 22.5)
    assert found.ratio_of_means > found.predict_high
    assert found.finding == "residual knowledge"
    assert table.loc[("RURK", 0)].finding == "over-forgotten"
    assert table.loc[("RURK", 1)].finding == "none detected"


def test_a_point_above_its_band_is_called_so_where_copies_are_searched_for(result):
    """Everybody loses 17 of 20 samples on copies found on themselves, the model none. Fails if the
    side is that of the plain difference."""
    name = ModelId("GD", 1)
    there = {n: 21 + n.seed % 3 for n in result.references}
    own = counts({name: 18} | {n: k - 17 for n, k in there.items()})
    found = replace(own, on={name: counts(there).hits})
    table = study.verdicts(replace(result, counts=found, models=(name,)))
    assert table.ratio_of_means[0] < 1
    assert table.by_ratio.tolist() == ["above"]


def test_the_verdict_is_the_rules_and_its_statistics_stand_beside(result):
    """Fails if finding and p are one statistic's, or if a p stands under another's name."""
    for row in study.verdicts(result).itertuples():
        own = result.judge(ModelId(row.method, row.seed))
        assert (row.finding, row.p) == (own.finding, own.p)
        ps = row.p_margin, row.p_scaled_margin, row.p_soft_hits, row.p_hits, row.p_hits_first
        assert dict(zip(STATISTICS, ps, strict=True)) == own.p_values
        assert row.p == combined(ps)
        assert row.p_hits_first > 0.05  # all are right at tau 0


@pytest.fixture
def summary():
    columns = "retain_accuracy", "test_accuracy", "mia", "average_gap", "lira_auc", "lira_mean_z"
    columns += "relearn_epochs", "seconds", "share_of_retrain"
    frame = pd.DataFrame(
        {"method": ["GD", "RURK", "Re-train"], "unlearn_accuracy": [1.0, 3.0, 5.0]}
    )
    return frame.assign(**dict.fromkeys(columns, 1.0))


def test_the_table_counts_seeds(result, summary):
    table = findings_table(study.verdicts(result), summary).set_index("method")
    # "residual knowledge" would stay uncounted if the verdict's words changed.
    assert table.loc["GD", "verdict (seeds)"] == "1 residual knowledge, 1 none"
    assert table.loc["RURK", "verdict (seeds)"] == "1 none, 1 over-forgotten"
    assert not table.columns.str.startswith("by ").any()
    p = study.verdicts(result).query("method == 'RURK'").p
    assert table.loc["RURK", "all seeds, p"] == f"{combined(list(p)):.2g}"
    assert p.min() < combined(list(p)) < 2 * p.min() * 1.0001
    assert table.loc["GD", "ratio (seeds)"] == "1.378 (1.044 ... 1.711)"
    assert table.loc["RURK", ["unlearn %", "Avg. Gap"]].tolist() == ["3.00", "0.50"]


def test_where_no_ratio_is_defined_the_table_reads_differences(result, summary):
    """GD recognises the copies of 38.5 and 23.5 of 40 samples, models that never saw the class
    none. Fails if the column of a forgotten class reads nan."""
    never = dict.fromkeys(result.references, np.zeros((2, 40), dtype=int))
    counted = replace(result.counts, hits={**result.counts.hits, **never})
    whole = replace(result, counts=counted)
    table = findings_table(study.verdicts(whole), summary).set_index("method")
    assert "ratio (seeds)" not in table
    assert table.loc["GD", "difference (seeds)"] == "0.775 (0.588 ... 0.963)"
    assert "nan" not in table.loc["GD", "margin (seeds)"]


def test_verdicts_say_who_is_treated_differently(run):
    """By the test of each model beside held-out samples, counted by seeds in the table. Fails if
    samples that re-trained models don't know are a control all the same."""
    result = study.residual(run, "gaussian", controls=["held out"])
    assert set(result.control_results) == {"held out"}
    judged = study.verdicts(result)
    tests = [result.exchange(name) for name in result.models]
    assert judged.treated.tolist() == [test.finding for test in tests]
    assert judged.p_treated.tolist() == [test.p for test in tests]
    summary = pd.read_csv(run.table("summary.csv"))
    table = findings_table(judged, summary).set_index("method")["treated differently"]
    assert table.tolist() == [in_seeds([test.finding]) for test in tests]
    assert in_seeds([SURER, ALIKE, SURER]) == "2 surer, 1 alike"
    beside = result.control_results["held out"]
    none = replace(beside.counts, hits={n: 0 * own for n, own in beside.counts.hits.items()})
    strangers = replace(result, control_results={"held out": replace(beside, counts=none)})
    one = study.verdicts(strangers)
    assert list(judged.columns.difference(one.columns)) == ["p_treated", "treated"]
    assert "treated differently" not in findings_table(one, summary)
