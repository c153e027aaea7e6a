"""An audit's page: what stands on it, in which order, and the words that go with any audit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from rurklib.residual.exchange import Exchange
from rurklib.residual.verdict import NO_VERDICT, NONE, OVER, RESIDUAL, Verdict
from rurklib.study.audit.plain import Audited, rising, said
from rurklib.study.report import page

PLAINLY = {
    RESIDUAL: "It knows more of the forgotten than re-trained models do",
    OVER: "It knows less of the forgotten than re-trained models do",
    NONE: "Nothing tells it from re-trained models on the forgotten",
    NO_VERDICT: "No verdict",
}
BEST = (
    "The twenty that the model knows most beyond re-trained models (margin_difference, in logits);"
    " index is a sample's place in the data. samples.csv has all"
)
NOBODYS = (
    "Nobody was to forget these: what a verdict says of them is robustness, confidence or damage."
)
WORDS = (
    "Recognised: the model's answer to a copy is its label. Ratio: how often that is so, divided "
    "by re-trained models' mean. Margin: the label's logit less the log-sum-exp of the others, "
    "which is the log-odds of the label. The rule "
    "asks five questions of the whole curve, and its answer is one p: of the mean margin; the "
    "scaled margin (in units of how widely a model's margins spread, so that one that is merely "
    "surer of everything doesn't stand out); soft hits (the label's probability); hits (copies "
    "recognised); and hits at the first tau. They may disagree: right answers can differ where "
    "margins don't."
)
CAVEAT = (
    "That a model with no verdict against it has forgotten: smaller effects than the one named "
    "above stay unseen, and other perturbations were not tried. That an effect is memory: where "
    "held-out samples show the same, it is robustness or confidence. The references are believed "
    "to be trained as the model would have been without the forget samples."
)


def blocks(
    result: Audited,
    verdict: Verdict,
    others: Mapping[str, Verdict],
    asked: Mapping[str, Any],
    pictures: Sequence[page.Picture],
    treated: Exchange | None,
    samples: pd.DataFrame,
    both: str = "",
) -> list[page.Block]:
    """The page's blocks: plain counts and verdict first, then what casts doubt on it, then numbers.

    ``others`` are the controls' verdicts by name, ``asked`` the measurement's settings as they are
    written down, ``treated`` and ``samples`` None where they couldn't be asked; ``both``
    says how both answers are true.
    """
    sizes, k = asked["samples"], len(result.references)
    told = (
        f"{sizes['forget']} forget samples, {asked['draws']} copies of each per tau "
        f"({asked['perturbation']}), {k or 'no'} re-trained reference{'s' * (k != 1)}, seed "
        f"{asked['seed']}; taus {', '.join(f'{tau:g}' for tau in asked['taus'])}."
    )
    flags = [str(flag) for flag in result.flags] or ["None raised."]
    answers = [said(result.right or {}), str(verdict), *([str(treated)] if treated else [])]
    answers += [text for text in (both, rising(result)) if text]
    blocks: list[page.Block] = [page.Heading(PLAINLY[verdict.finding])]
    blocks += [*map(page.Text, answers), page.Text(told)]
    blocks += [page.Heading("Flags"), *map(page.Text, flags), page.Heading("Curves"), *pictures]
    if others:
        lines = (f"{name} ({sizes[name]} samples): {_short(v)}" for name, v in others.items())
        blocks += [page.Heading("Controls"), page.Text(NOBODYS), *map(page.Text, lines)]
        blocks.append(page.Table(result.controls, "The controls, one row per tau", folded=True))
    blocks += [page.Heading("Samples"), page.Table(samples.head(20), BEST)]
    blocks += [page.Heading("Numbers"), page.Table(result.frame, "One row per tau", folded=True)]
    blocks += [page.Heading("Words"), page.Text(WORDS)]
    return [*blocks, page.Heading("What this does not show"), page.Text(CAVEAT)]


def _short(verdict: Verdict) -> str:
    """The verdict on samples that nobody was to forget."""
    p = f", p = {verdict.p:.2g}" * math.isfinite(verdict.p)
    return f"{verdict.finding}{p}: {verdict.size} re-trained models" if p else verdict.finding
