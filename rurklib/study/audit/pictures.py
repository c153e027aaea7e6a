"""An audit's pictures, each with its numbers: the curves, the rule's questions, the ROC."""

from pathlib import Path

import numpy as np
import pandas as pd

from rurklib.residual import statistics
from rurklib.residual.exchange import Exchange
from rurklib.residual.result import ResidualKnowledge
from rurklib.residual.verdict import (
    JOINT,
    NO_VERDICT,
    NONE,
    OVER,
    RESIDUAL,
    Verdict,
    part_statistics,
)
from rurklib.study import files
from rurklib.study.audit.plain import FORGOTTEN
from rurklib.study.audit.samples import found_at, roc_table
from rurklib.study.figures.charts import GREYS, roc, rule
from rurklib.study.figures.curves import against_references
from rurklib.study.figures.style import png
from rurklib.study.report.page import Picture

CURVES = (
    "Left: residual knowledge, with the 95 % interval of the ratio; right: the logit margin above "
    "the references'. Grey: where one further re-trained model would fall with probability 95 %, "
    "at each tau. Each control is compared on its own samples."
)
RULE = (
    "Each question reads one number off the whole curve. Right of 0 the model knows more than a "
    "re-trained one is expected to. One further re-trained model is within the light grey with "
    "probability {:g} %; outside it, the question alone would be a finding. {} Where held-out "
    "samples stand as far out, on the same side, a finding can't be called memory of the forgotten."
)
ROC = (
    "Forget samples against held-out ones of their class, by the margin above the references'; "
    "grey: each re-trained model beside the others. Left: who is found while hardly any is "
    "accused: how well single samples can be told. It decides nothing, the answers above do."
)


def rule_table(result: ResidualKnowledge, level: float = 0.05) -> pd.DataFrame:
    """A row for each question of the rule, on the forget set and on each control (column ``of``).

    ``shift`` is how far the model is from where a further re-trained one is expected, in logits or
    log-odds. All else is in standard deviations of such a one's place: the model's ``deviation``,
    the references' range ``null_low`` ... ``null_high``, and ``predict_low`` ... ``predict_high``,
    where ``1 - level`` of further ones are. ``p`` is this question's alone, ``verdict`` what it
    alone would say. NaN where re-trained models don't vary. For what has a verdict.
    """
    (name,) = result.models
    rows = []
    for group, its in {FORGOTTEN: result, **result.control_results}.items():
        for part, (own, below, least) in part_statistics(*its.values(name)).items():
            centre, sd = statistics.spread(below, least)
            limits = statistics.predict(below, least, 1 - level)
            far = (np.array([own, below.min(), below.max(), *limits]) - centre) / sd
            p = float(statistics.p_value(own, below, least))
            said = NONE if not p < level else RESIDUAL if own > centre else OVER
            rows.append((group, part, p, said, float(own - centre), *far))
    return pd.DataFrame(rows, columns=["of", "part", "p", "verdict", "shift", "deviation", *GREYS])


def questions(table: pd.DataFrame) -> str:
    """Which of the rule's questions would be a finding alone, as a sentence."""
    heard = table[table.verdict != NONE]
    if len(heard) in (0, len(table)):
        how = "Each" if len(heard) else "None"
        return f"{how} of the rule's {len(table)} questions would be a finding alone"
    which = ", ".join(f"{part} (p = {p:.2g})" for part, p in zip(heard.part, heard.p, strict=True))
    return f"Of the rule's {len(table)} questions these would be a finding alone: {which}"


def pictured(
    folder: Path, result: ResidualKnowledge, verdict: Verdict, treated: Exchange | None, title: str
) -> list[Picture]:
    """Draw into ``folder``, each picture beside its table, what there is to be drawn."""
    curves = against_references(result.frame, result.controls, title=title)
    files.write(folder / "curves.png", png(curves, str(verdict)))
    pictures = [Picture(folder / "curves.png", str(verdict), CURVES)]
    if verdict.finding != NO_VERDICT:
        table = rule_table(result, verdict.level)
        told = questions(table[table.of == FORGOTTEN])
        files.write_frame(folder / "rule.csv", table)
        files.write(folder / "rule.png", png(rule(table, title=told), told))
        how = f"The verdict goes by one of them alone: {verdict.test}."
        how = "The verdict's p joins them." if verdict.test == JOINT else how
        reading = RULE.format(100 * (1 - verdict.level), how)
        pictures.append(Picture(folder / "rule.png", told, reading))
    if treated:
        table = roc_table(result)
        told = found_at(table)
        files.write_frame(folder / "roc.csv", table)
        files.write(folder / "roc.png", png(roc(table, title=told), told))
        pictures.append(Picture(folder / "roc.png", told, ROC))
    return pictures
