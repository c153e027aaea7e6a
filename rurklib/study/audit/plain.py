"""The plain part of an audit: counts of right answers, a row per sample, and references that guess.

A set-up that isn't the training's (pixels normalised otherwise, labels in another order) makes all
models guess, and models that guess look alike. So the counts stand first, and where references are
at chance there is no verdict. Models that always say the forget samples' class are right on all of
them, so samples of other classes are asked too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from rurklib.residual.controls import HELD_OUT, RETAINED
from rurklib.residual.exchange import Exchange
from rurklib.residual.flags import Flag, flag
from rurklib.residual.result import ResidualKnowledge
from rurklib.residual.verdict import LEVEL, NO_VERDICT, OVER, RESIDUAL, Verdict
from rurklib.tensors import Pair, logits

CHANCE, UNLIKE = "references at chance", "references unlike held-out samples"  # flags
FORGOTTEN, ALL = "forgotten", ", all classes"  # groups of samples
GROUPS = {
    FORGOTTEN: "forget samples",
    HELD_OUT: "held-out samples of their classes",
    HELD_OUT + ALL: "held-out samples of all classes",
    RETAINED: "retained samples",
    RETAINED + ALL: "retained samples of all classes",
}


@dataclass(frozen=True, repr=False)
class Audited(ResidualKnowledge):
    """A measurement without a verdict where references are at chance, unless ``expect_chance``.

    Held-out samples of another kind are left out of the verdict. ``right``: how many samples each
    model is right on without noise, by group: {"of": n, "model": hits, a reference's name: hits}.
    """

    expect_chance: bool = False
    right: Mapping[str, Mapping[str, int]] | None = None

    def judge(self, name: Any, *, level: float = LEVEL) -> Verdict:
        """As :meth:`ResidualKnowledge.judge`, but for references that guess."""
        without = replace(self, control_results={}) if UNLIKE in self.flagged else self
        verdict = ResidualKnowledge.judge(without, name, level=level)
        if not self.guessed or verdict.finding == NO_VERDICT:
            return verdict
        note = (
            f"{CHANCE}: mend the set-up (normalisation, order of labels); or, where a whole class "
            "was forgotten or the samples are that hard, say that it is meant (--expect-chance)"
        )
        return replace(verdict, finding=NO_VERDICT, p=math.nan, note=note)

    @property
    def flagged(self) -> set[str]:
        """The names of the flags."""
        return {flag.name for flag in self.flags}

    @property
    def guessed(self) -> bool:
        """Whether references guess, which wasn't expected: then there is no verdict."""
        return CHANCE in self.flagged and not self.expect_chance


def count_right(
    result: ResidualKnowledge, nets: Mapping[Any, nn.Module], groups: Mapping[str, Pair]
) -> dict[str, dict[str, int]]:
    """``Audited.right``: from the counts at tau 0, or where that was not measured from one pass of
    the nets, by name, over the ``groups``."""
    found, taus = {}, list(result.counts.options.taus)
    for group, (x, y) in groups.items():
        measured = result if group == FORGOTTEN else result.control_results[group]
        row: dict[str, int] = {"of": len(y)}
        for name in (*result.models, *result.references):
            if 0 in taus:
                row[str(name)] = int((measured.counts.hits[name][taus.index(0)] > 0).sum())
            else:
                row[str(name)] = int((logits(nets[name], x).argmax(1) == y).sum())
        found[group] = row
    return found


def ask_all_classes(
    nets: Mapping[Any, nn.Module], pairs: Sequence[Pair], model: Any
) -> tuple[dict[str, int], list[Flag]]:
    """Ask samples (x, y) of several classes, without noise.

    Returns how many of the first pair each net is right on, {"of": n, name: hits}, and a flag if
    the references (all but ``model``) guess on every pair: if their mean recall over classes is one
    in the number of classes, within two standard errors.
    """
    rows, shares = [], []
    for x, y in pairs:
        hits = {str(name): logits(net, x).argmax(1) == y for name, net in nets.items()}
        rows.append({"of": len(y)} | {name: int(right.sum()) for name, right in hits.items()})
        references = [right.double() for name, right in hits.items() if name != str(model)]
        if not references:
            return rows[0], []
        recall, error = _recall(torch.stack(references), y)
        classes = len(y.unique())
        if recall - 2 * error <= 1 / classes:
            shares.append(f"{100 * recall:.0f} % of each class, on average over {classes} classes")
    return rows[0], flag(CHANCE, shares[0]) if len(shares) == len(pairs) else []


def _recall(hits: Tensor, y: Tensor) -> tuple[float, float]:
    """Mean over classes of the share that models [k, n] are right on, and its standard error."""
    classes = y.unique()
    recall = torch.stack([hits[:, y == c].mean() for c in classes])
    many = len(hits) * torch.stack([(y == c).sum() for c in classes])
    return float(recall.mean()), float((recall * (1 - recall) / many).sum().sqrt()) / len(classes)


def right_in_words(right: Mapping[str, Mapping[str, int]]) -> str:
    """The counts in a line.

    >>> right_in_words({"forgotten": {"of": 64, "model": 64, "a": 59, "b": 61}})
    'Right, without noise: on forget samples: model 64 of 64, re-trained 59 ... 61 of 64.'
    """
    parts = []
    for group, row in right.items():
        text = f"on {GROUPS[group]}: model {row['model']} of {row['of']}"
        if references := [hits for name, hits in row.items() if name not in ("of", "model")]:
            low, high = min(references), max(references)
            text += f", re-trained {f'{low} ... {high}' if low < high else low} of {row['of']}"
        parts.append(text)
    return f"Right, without noise: {'; '.join(parts)}."


def accuracy_by_tau(result: ResidualKnowledge) -> str:
    """Shares of the forget samples' copies that are recognised, a column for each tau."""
    frame = result.frame
    rows = {
        "tau": [f"{t:g}" for t in frame.tau],
        "model": [f"{a:.3f}" for a in frame.forget_accuracy],
    }
    if result.references:
        rows["re-trained"] = [f"{a:.3f}" for a in frame.reference_accuracy]
    return "\n".join(f"{name:<12}" + "".join(f"{v:>8}" for v in row) for name, row in rows.items())


def as_json(answer: Verdict | Exchange) -> dict[str, Any]:
    """An answer as JSON holds it, which has no NaN: None for what isn't a finite number. Its
    ``sentence`` has a finding's note on held-out samples too."""

    def finite(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {k: finite(v) for k, v in value.items()}
        value = value.tolist() if isinstance(value, np.ndarray) else value
        return None if isinstance(value, float) and not math.isfinite(value) else value

    text = answer.text if isinstance(answer, Verdict) else str(answer)
    return finite(asdict(answer) | {"finding": answer.finding, "sentence": text})


def samples_table(result: ResidualKnowledge, indices: Sequence[int] | None = None) -> pd.DataFrame:
    """A row for each forget sample, those that the model knows most beyond the references first.

    ``sample`` is its place among the forget samples, ``index`` that in the data, from ``indices``
    [n] (None: the same), ``label`` its class. Over the whole curve: ``accuracy`` and
    ``reference_accuracy`` on its copies, ``ratio`` of the two (NaN where no reference is right),
    ``margin`` and ``margin_difference`` to the references' mean, in logits. ``rank`` is the share
    of held-out samples of its class with a smaller margin_difference: near 1 for what is
    remembered, uniform for what was never seen (NaN without such samples; without references it is
    the margin's own).
    """
    (name,) = result.models
    draws = result.counts.options.draws
    hits, reference_hits = result.hits_of(name)
    accuracy, apart = (hits / draws).mean(axis=0), _margin_difference(result)
    shares, rank = np.full((2, len(apart)), np.nan)
    if result.references:
        shares = (reference_hits / draws).mean(axis=(0, 1))
    if held_out := result.control_results.get(HELD_OUT):
        labels, held_out_apart = result.y, _margin_difference(held_out)
        for c in set(labels) & set(held_out.y):
            at_least = apart[labels == c, None] <= held_out_apart[held_out.y == c]
            rank[labels == c] = 1 - at_least.mean(axis=1)
    table = pd.DataFrame(
        {
            "sample": np.arange(len(accuracy)),
            "index": np.arange(len(accuracy)) if indices is None else np.asarray(indices),
            "label": result.y,
            "accuracy": accuracy,
            "reference_accuracy": shares,
            "ratio": np.divide(
                accuracy, shares, out=np.full_like(shares, np.nan), where=shares > 0
            ),
            "margin": result.counts.margins[name].mean(axis=0),
            "margin_difference": apart if result.references else np.nan,
            "rank": rank,
        }
    )
    return table.iloc[np.argsort(-apart, kind="stable")].reset_index(drop=True)


def rests_on(
    result: ResidualKnowledge, verdict: Verdict, indices: Sequence[int] | None = None
) -> str:
    """That a finding rests on one forget sample, as a sentence; "" if it doesn't.

    The sample that stands furthest on the finding's side is left out, and the rest is judged again.
    Any p grows by that, so one that is then less than twice the level says nothing.
    """
    (name,) = result.models
    if verdict.finding not in (RESIDUAL, OVER) or len(result.y) < 3:
        return ""
    apart = _margin_difference(result) * (1 if verdict.finding == RESIDUAL else -1)
    one = int(apart.argmax())
    counts = replace(
        result.counts,
        hits={n: np.delete(hits, one, -1) for n, hits in result.counts.hits.items()},
        margins={n: np.delete(margins, one, -1) for n, margins in result.counts.margins.items()},
    )
    labels = np.delete(result.y, one)
    without = replace(result, counts=counts, y=labels, control_results={}).judge(name)
    if without.finding == verdict.finding or not without.p >= 2 * verdict.level:
        return ""
    return (
        f"The finding rests on one sample, index {one if indices is None else int(indices[one])}: "
        f"without it the answer is {without.finding} (p = {without.p:.2g})."
    )


def _margin_difference(result: ResidualKnowledge) -> np.ndarray:
    """Per sample, over copies and taus: the model's margin, less that of the references if any."""
    (name,) = result.models
    margins = {n: margin.mean(axis=0) for n, margin in result.counts.margins.items()}
    if not result.references:
        return margins[name]
    return margins[name] - np.mean([margins[r] for r in result.references], axis=0)
