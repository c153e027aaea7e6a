"""What an audit draws says what the verdict says: its questions' p, and who is outside."""

import numpy as np
import pandas as pd
import pytest

import rurklib
from rurklib.residual.verdict import NONE, RESIDUAL
from rurklib.study.audit.pictures import questions, rule_table

GIVEN = {"taus": [0.0, 0.1], "draws": 4, "bounds": (-1, 1)}


@pytest.mark.parametrize("name", ["original", "retrained"])
def test_the_rule_is_drawn_as_it_judged(planted, name):
    """Fails if a picture and the verdict part, or if a mark is outside where its p says inside."""
    x, y = planted.pair("forget")
    held_out = planted.pair("held_out")
    model = getattr(planted, name)
    result = rurklib.audit(model, planted.references, x, y, held_out=held_out, **GIVEN)
    table = rule_table(result, level=0.2)
    assert table.of.unique().tolist() == ["forgotten", "held out"]
    for group, its in (("forgotten", result), ("held out", result.control_results["held out"])):
        own = table[table.of == group].set_index("part")
        assert own.p.to_dict() == pytest.approx(dict(its.judge("model").parts))
        outside = ~own.deviation.between(own.predict_low, own.predict_high)
        assert outside.equals(own.p < 0.2)
        assert (own.verdict != NONE).equals(outside)
        assert (own.verdict == RESIDUAL).equals(outside & (own.deviation > 0))
        assert (np.sign(own.deviation) == np.sign(own["shift"])).all()
    margins = result.counts["model"].margins.mean((1, 2))
    assert table["shift"][0] == pytest.approx(margins[0] - margins[1:].mean(), abs=1e-6)
    leave = [margins[k] - np.delete(margins[1:], k - 1).mean() for k in range(1, 7)]
    ratio = table.deviation[0] / table["shift"][0]
    assert (table.null_low[0], table.null_high[0]) == pytest.approx(
        (ratio * min(leave), ratio * max(leave)), rel=1e-4
    )


def test_its_sentence_names_those_that_are_heard():
    """By hand."""
    table = pd.DataFrame({"part": ["margin", "hits"], "p": [0.3, 0.012], "verdict": NONE})
    assert questions(table) == "None of the rule's 2 questions would be a finding alone"
    table.loc[1, "verdict"] = RESIDUAL
    alone = "Of the rule's 2 questions these would be a finding alone: hits (p = 0.012)"
    assert questions(table) == alone
    table["verdict"] = RESIDUAL
    assert questions(table) == "Each of the rule's 2 questions would be a finding alone"


def test_without_a_verdict_no_rule_is_drawn(planted, tmp_path):
    """Two references give none."""
    x, y = planted.pair("forget")
    rurklib.audit(planted.original, planted.references[:2], x, y, out=tmp_path / "o", **GIVEN)
    assert {p.name for p in (tmp_path / "o").glob("r*")} == {
        "report.html",
        "residual_knowledge.csv",
    }
