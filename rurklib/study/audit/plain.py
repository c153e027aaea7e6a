"""What anybody can check of an audit: who is right on how many, and what two answers come to.

A set-up that isn't the training's (pixels normalised otherwise, labels in another order) makes all
models guess, and models that guess alike acquit. So the counts stand first, and where re-trained
models are at chance there is no verdict. Models that always say the forgotten class know all of it,
and are told by samples of other classes. Held-out samples of another kind than the forget samples
tell nothing, and what would be said beside them isn't.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from torch import nn

from rurklib.models.logits import logits
from rurklib.residual.controls import HELD_OUT, RETAINED
from rurklib.residual.exchange import ALIKE, LESS_SURE, SURER, Exchange
from rurklib.residual.result import ResidualKnowledge
from rurklib.residual.verdict import JOINT, NO_VERDICT, NONE, OVER, RESIDUAL, Verdict
from rurklib.study.audit.chance import ALONE, CHANCE
from rurklib.tensors import Pair

UNLIKE = "references unlike held-out samples"  # a flag
FORGOTTEN, ALL = "forgotten", ", all classes"
GROUPS = {  # in a sentence
    FORGOTTEN: "the forgotten", HELD_OUT: "held-out ones of their classes",
    HELD_OUT + ALL: "held-out ones of all classes", RETAINED: "retained ones",
    RETAINED + ALL: "retained ones of all classes",
}  # fmt: skip
RISE = 0.02  # of a share, that is no chance of few samples


@dataclass(frozen=True, repr=False)
class Audited(ResidualKnowledge):
    """A measurement whose verdict is none where re-trained models are at chance, unless that is
    meant (``expect_chance``), and says nothing of held-out samples of another kind. ``right``: how
    many samples without noise each model is right on, by group (``GROUPS``), {"of": n, "model":
    hits, a reference's name: hits}."""

    expect_chance: bool = False
    right: Mapping[str, Mapping[str, int]] | None = None

    def judge(self, name: Any, *, test: str = JOINT, level: float = 0.05) -> Verdict:
        """As :meth:`ResidualKnowledge.judge`, but for references that guess."""
        alone = replace(self, control_results={}) if UNLIKE in self.flagged else self
        verdict = ResidualKnowledge.judge(alone, name, test=test, level=level)
        if not self.guessed or verdict.finding == NO_VERDICT:
            return verdict
        seen = {flag.name: flag.message for flag in self.flags}
        if CHANCE in seen:
            note = (
                f"re-trained models are right on {seen[CHANCE].partition(':')[0]}, which is no "
                "better than guessing: mend the set-up (normalisation, order of labels), or, where "
                "a whole class was forgotten or the samples are that hard, say that it is meant "
                "(--expect-chance)"
            )
        else:
            note = f"{seen[ALONE].partition(' guesses')[0]} guesses where other references don't: "
            note += "re-train it or leave it out, or say that it is meant (--expect-chance)"
        return replace(verdict, finding=NO_VERDICT, p=math.nan, note=note)

    @property
    def flagged(self) -> set[str]:
        """The names of the flags."""
        return {flag.name for flag in self.flags}

    @property
    def guessed(self) -> bool:
        """Whether re-trained models guess, or one does, which wasn't meant: nothing can be said."""
        return bool({CHANCE, ALONE} & self.flagged) and not self.expect_chance

    @property
    def unasked(self) -> str:
        """Why nobody was asked whether forget samples are treated unlike held-out ones; "" if
        nothing stood against it."""
        if UNLIKE not in self.flagged or self.guessed:
            return ""
        return (
            "Whether the forget samples are treated unlike held-out ones wasn't asked: models that "
            "saw neither are right on other shares of them, so the two are of different kinds (see "
            "the flag). Give held-out samples that were drawn as the forget samples were."
        )


def counted(
    result: ResidualKnowledge, nets: Mapping[Any, nn.Module], groups: Mapping[str, Pair]
) -> dict[str, dict[str, int]]:
    """``Audited.right``: from the counts at tau 0, or where that was not measured from one pass of
    the nets, by name, over the ``groups``."""
    (own,) = result.models
    found = {}
    for group, (x, y) in groups.items():
        its = result if group == FORGOTTEN else result.control_results[group]
        row: dict[str, int] = {"of": len(y)}
        for name in (own, *result.references):
            counts = its.counts[name]
            if 0 in counts.taus:
                at = counts.taus.index(0)
                row[str(name)] = int((2 * counts.of(name)[at] > counts.draws).sum())
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
        parts.append(f"on {GROUPS.get(group, group)}: model {own} of {row['of']}")
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


def rising(result: Audited) -> str:
    """That noise makes re-trained models right more often, if it does: a sentence, or ""."""
    share = result.frame.reference_accuracy.to_numpy(float)
    if not result.references or result.guessed or not share[-1] > share[0] + RISE:
        return ""
    return (
        f"Under noise re-trained models say these labels more often ({share[0]:.3f} at the first "
        f"tau, {share[-1]:.3f} at the last): it drives answers towards the class, and larger taus "
        "tell less here. Take smaller ones, and tau 0."
    )


def as_json(told: Verdict | Exchange) -> dict[str, Any]:
    """A verdict as JSON holds it, which has no NaN: None for what isn't a finite number."""

    def finite(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {k: finite(v) for k, v in value.items()}
        value = value.tolist() if isinstance(value, np.ndarray) else value
        return None if isinstance(value, float) and not math.isfinite(value) else value

    return finite(asdict(told) | {"finding": told.finding, "sentence": str(told)})


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
