"""Each forget sample in an audit: who is recognised, and how they stand among held-out samples."""

import numpy as np
import pandas as pd

from rurklib.residual.controls import HELD_OUT
from rurklib.residual.result import ResidualKnowledge


def samples_table(result: ResidualKnowledge) -> pd.DataFrame:
    """A row for each forget sample, those that the model knows most beyond the references first.

    ``sample`` is its place among the forget samples (0, 1, ..., as ``--forget`` names them),
    ``label`` its class. Over the whole curve: ``accuracy`` and ``reference_accuracy`` on its
    copies, ``ratio`` of the two (NaN where no reference says it), ``margin`` and
    ``margin_difference`` to the references' mean, in logits. ``rank`` is the share of held-out
    samples of its class with a smaller margin_difference: near 1 for what is remembered, uniform
    for what was never seen (NaN without held-out samples). Without references the margin's own.
    """
    accuracy, others, margin, apart = _means(result)
    table = pd.DataFrame(
        {
            "sample": np.arange(len(accuracy)),
            "label": result.y,
            "accuracy": accuracy,
            "reference_accuracy": others,
            "ratio": np.divide(
                accuracy, others, out=np.full_like(others, np.nan), where=others > 0
            ),
            "margin": margin,
            "margin_difference": apart if result.references else np.nan,
        }
    )
    table["rank"] = np.nan
    beside = result.control_results.get(HELD_OUT)
    if beside is not None:
        theirs = _means(beside)[3]
        for c in np.unique(table.label):
            own, of_class = table.label == c, theirs[beside.y == c]
            if len(of_class):
                table.loc[own, "rank"] = (apart[own, None] > of_class).mean(axis=1)
    return table.iloc[np.argsort(-apart, kind="stable")].reset_index(drop=True)


def _means(result: ResidualKnowledge) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Per sample, over copies and taus: the model's accuracy, the references' mean one (NaN if
    there are none), the model's margin, and that less the references'."""
    (name,) = result.models
    counts = result.counts[name]
    draws = np.broadcast_to(counts.drawn, (len(counts.taus),))[:, None]
    hits, others = result.ratios(name)
    rows = [counts.models.index(r) for r in result.references]
    margins = np.asarray(counts.margins)
    own = margins[counts.models.index(name)].mean(axis=0)
    if not rows:
        return (hits / draws).mean(axis=0), np.full(len(own), np.nan), own, own
    shares = (others / draws).mean(axis=(0, 1))
    return (hits / draws).mean(axis=0), shares, own, own - margins[rows].mean(axis=(0, 1))
