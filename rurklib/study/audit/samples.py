"""Each forget sample in an audit: who is recognised, and how they stand among held-out samples."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from rurklib.residual.controls import HELD_OUT
from rurklib.residual.result import ResidualKnowledge
from rurklib.residual.verdict import OVER, RESIDUAL, Verdict


def samples_table(result: ResidualKnowledge, indices: Sequence[int] | None = None) -> pd.DataFrame:
    """A row for each forget sample, those that the model knows most beyond the references first.

    ``sample`` is its place among the forget samples (0, 1, ..., as ``--forget`` names them),
    ``index`` that in the data, from ``indices`` [n] (None: there are no others; the same),
    ``label`` its class. Over the whole curve: ``accuracy`` and ``reference_accuracy`` on its
    copies, ``ratio`` of the two (NaN where no reference says it), ``margin`` and
    ``margin_difference`` to the references' mean, in logits. ``rank`` is the share of held-out
    samples of its class with a smaller margin_difference: near 1 for what is remembered, uniform
    for what was never seen (NaN without held-out samples). Without references the margin's own.
    """
    (name,) = result.models
    counts = result.counts[name]
    hits, others = result.hits_of(name)
    draws = counts.draws
    accuracy, apart = (hits / draws).mean(axis=0), _apart(result, name)
    shares = np.full(len(apart), np.nan)
    if result.references:
        shares = (others / draws).mean(axis=(0, 1))
    ratio = np.divide(accuracy, shares, out=np.full_like(shares, np.nan), where=shares > 0)
    table = pd.DataFrame(
        {
            "sample": np.arange(len(accuracy)),
            "index": np.arange(len(accuracy)) if indices is None else np.asarray(indices),
            "label": result.y,
            "accuracy": accuracy,
            "reference_accuracy": shares,
            "ratio": ratio,
            "margin": counts.margins[counts.models.index(name)].mean(axis=0),
            "margin_difference": apart if result.references else np.nan,
            "rank": np.nan,
        }
    )
    if HELD_OUT in result.control_results:
        table["rank"] = 1 - _as_sure(result, name)
    return table.iloc[np.argsort(-apart, kind="stable")].reset_index(drop=True)


def rests_on(
    result: ResidualKnowledge, verdict: Verdict, indices: Sequence[int] | None = None
) -> str:
    """That a finding hangs on one forget sample, in a sentence; "" if it doesn't.

    The sample that stands furthest on the finding's side is left out, and all is judged again: a
    model may remember one sample of many, and who asks whether *these* are forgotten must know. A p
    that is then above the level by less than as much again says nothing: any p grows by that.
    """
    (name,) = result.models
    if verdict.finding not in (RESIDUAL, OVER) or result.counts[name].hits.shape[-1] < 3:
        return ""
    apart = _apart(result, name) * (1 if verdict.finding == RESIDUAL else -1)
    one = int(apart.argmax())
    less = {}
    for n, c in result.counts.items():
        hits, margins = np.delete(c.hits, one, -1), np.delete(c.margins, one, -1)
        less[n] = replace(c, hits=hits, margins=margins)
    rest = replace(result, counts=less, y=np.delete(np.asarray(result.y), one), control_results={})
    without = rest.judge(name)
    if without.finding == verdict.finding or not without.p >= 2 * verdict.level:
        return ""
    which = one if indices is None else int(indices[one])
    return (
        f"The finding rests on one sample, index {which}: without it the answer is "
        f"{without.finding} (p = {without.p:.2g})."
    )


def _as_sure(result: ResidualKnowledge, model: str) -> np.ndarray:
    """For each forget sample the share of held-out ones of its class that the model knows as well
    or better (NaN: there are none)."""
    held_out = result.control_results[HELD_OUT]
    own, theirs = _apart(result, model), _apart(held_out, model)
    shares = np.full(len(own), np.nan)
    labels = np.asarray(result.y)
    for c in np.unique(labels):
        of_class = theirs[held_out.y == c]
        if len(of_class):
            shares[labels == c] = (own[labels == c, None] <= of_class).mean(axis=1)
    return shares


def _apart(result: ResidualKnowledge, model: str) -> np.ndarray:
    """Per sample, over copies and taus: a model's margin, less that of the references but itself
    (of which there may be none)."""
    (name,) = result.models
    counts = result.counts[name]
    margins = counts.margins
    others = [counts.models.index(r) for r in result.references if r != model]
    own = margins[counts.models.index(model)].mean(axis=0)
    return own - margins[others].mean(axis=(0, 1)) if others else own
