"""What anybody can check of an audit: who is right on how many, and what two answers come to.

A set-up that isn't the training's (pixels normalised otherwise, labels in another order) makes all
models guess, and models that guess alike acquit. So the counts stand first, and where re-trained
models are at chance there is no verdict.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from rurklib.models.logits import logits
from rurklib.residual.exchange import ALIKE, LESS_SURE, SURER, Exchange
from rurklib.residual.result import ResidualKnowledge
from rurklib.residual.verdict import JOINT, NO_VERDICT, NONE, OVER, RESIDUAL, Verdict
from rurklib.samples import Pair

CHANCE = "references at chance"  # the flag
FORGOTTEN = "forgotten"


@dataclass(frozen=True, repr=False)
class Audited(ResidualKnowledge):
    """A measurement whose verdict is none where re-trained models are at chance, unless that is
    meant (``expect_chance``). ``right``: how many samples without noise each model is right on, by
    group ("forgotten", and the controls), {"of": n, "model": hits, a reference's name: hits}."""

    expect_chance: bool = False
    right: Mapping[str, Mapping[str, int]] | None = None

    def judge(self, name: Any, *, test: str = JOINT, level: float = 0.05) -> Verdict:
        """As :meth:`ResidualKnowledge.judge`, but for references that guess."""
        verdict = super().judge(name, test=test, level=level)
        guessing = [flag for flag in self.flags if flag.name == CHANCE]
        if not guessing or self.expect_chance or verdict.finding == NO_VERDICT:
            return verdict
        note = (
            f"it cannot be judged, for re-trained models are right on "
            f"{guessing[0].message.partition(':')[0]}, which is guessing: mend the set-up "
            "(normalisation, order of labels), or, where a whole class was forgotten or the "
            "samples are that hard, say that it is meant (--expect-chance)"
        )
        return replace(verdict, finding=NO_VERDICT, p=math.nan, note=note)


def counted(
    result: ResidualKnowledge,
    model: nn.Module,
    references: Sequence[nn.Module] | Mapping[str, nn.Module],
    groups: Mapping[str, Pair],
) -> dict[str, dict[str, int]]:
    """``Audited.right``: from the counts at tau 0, or where that was not measured from one pass of
    model and references (as the measurement was given them) over the ``groups``."""
    (own,) = result.models
    nets: dict[Any, nn.Module] = {own: model}
    if isinstance(references, Mapping):
        nets |= references
    else:
        nets |= {f"reference-{k}": net for k, net in enumerate(references)}
    found = {}
    for group, (x, y) in groups.items():
        its = result if group == FORGOTTEN else result.control_results[group]
        row: dict[str, int] = {"of": len(y)}
        for name in (own, *result.references):
            counts = its.counts[name]
            if 0 in counts.taus:
                at = list(counts.taus).index(0)
                drawn = np.broadcast_to(counts.drawn, (len(counts.taus),))[at]
                row[str(name)] = int((2 * counts.of(name)[at] > drawn).sum())
            else:
                row[str(name)] = int((logits(nets[name], x).argmax(1) == y).sum())
        found[group] = row
    return found


def said(right: Mapping[str, Mapping[str, int]]) -> str:
    """The counts in a line.

    >>> said({"forgotten": {"of": 64, "model": 64, "a": 59, "b": 61}})
    'Right, without noise: on the forgotten: model 64 of 64, re-trained 59 ... 61 of 64.'
    """
    parts = []
    for group, row in right.items():
        own, others = row["model"], [row[name] for name in row if name not in ("of", "model")]
        low, high = min(others, default=0), max(others, default=0)
        theirs = f"{low} ... {high}" if low < high else f"{low}"
        parts.append(f"on the {group.replace(' ', '-')}: model {own} of {row['of']}")
        parts[-1] += f", re-trained {theirs} of {row['of']}" * bool(others)
    return f"Right, without noise: {'; '.join(parts)}."


def by_tau(result: ResidualKnowledge) -> str:
    """Shares of the forget samples' copies that are recognised, a column for each tau: where
    re-trained models begin to fail is where taus belong."""
    frame = result.frame
    rows = {
        "tau": [f"{t:g}" for t in frame.tau],
        "model": [f"{a:.3f}" for a in frame.forget_accuracy],
    }
    if result.references:
        rows["re-trained"] = [f"{a:.3f}" for a in frame.reference_accuracy]
    return "\n".join(f"{name:<12}" + "".join(f"{v:>8}" for v in row) for name, row in rows.items())


def together(verdict: Verdict, treated: Exchange | None, beside: Verdict | None = None) -> str:
    """How both answers are true, where they seem to contradict each other; "" where they don't.
    ``beside`` is the verdict on held-out samples."""
    if treated is None:
        return ""
    kind, side = verdict.finding, {RESIDUAL: "above", OVER: "below"}.get(verdict.finding, "")
    if side and treated.finding == ALIKE:
        too = beside is not None and beside.finding == kind
        return (
            f"Both are true: the first compares with re-trained models, and the model is {side} "
            f"them on the forget samples{' and on held-out ones of their classes too' * too}; the "
            "second compares forget with held-out samples, by their mean margins, and can't tell "
            f"the {treated.n[0]} from the {treated.n[1]}. "
        ) + (
            f"So far it knows {'more' if side == 'above' else 'less'} of the classes, and nothing "
            "shows that it singles the forget samples out."
            if too
            else "What few samples show, or right answers and not margins, is seen by the first "
            "alone."
        )
    if kind == NONE and treated.finding != ALIKE:
        return (
            "Both are true: the model is no further from re-trained ones than they are from each "
            f"other, and yet {treated.finding.replace('forgotten', 'forget samples')} than of "
            "held-out ones. That is a trace of them for which the first question is too coarse, "
            "unless they were not chosen by chance."
        )
    if (kind, treated.finding) in ((RESIDUAL, LESS_SURE), (OVER, SURER)):
        return (
            f"Both are true: the model is {side} re-trained ones on the forget samples, and more "
            "so on held-out ones: it moved on the whole class, less on the forget samples."
        )
    return ""
