"""An audit's page: what stands on it, in which order, and the words that go with any audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from rurklib.residual.exchange import Exchange
from rurklib.residual.verdict import Verdict
from rurklib.study.audit.plain import Audited, said
from rurklib.study.report import page

READING = (
    "Left: residual knowledge, with the 95 % interval of the ratio; right: the logit margin above "
    "the references'. Grey: where one further re-trained model would fall with probability 95 %, "
    "at each tau. Each control is compared on its own samples."
)
ROC = (
    "Forget samples against held-out ones of their class, by the margin above the references'; "
    "grey: each re-trained model beside the others. Left: who is found while hardly any is accused."
)
NOBODYS = (
    "Nobody was to forget these: what a verdict says of them is robustness, confidence or damage."
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
    samples: pd.DataFrame | None,
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
        f"{asked['seed']}. Intervals are for {result.estimand}."
    )
    flags = [str(flag) for flag in result.flags] or ["None raised."]
    answers = [said(result.right or {}), str(verdict), *([str(treated)] if treated else [])]
    answers += [both] * bool(both)
    blocks: list[page.Block] = [*map(page.Text, answers), page.Text(told)]
    blocks += [page.Heading("Flags"), *map(page.Text, flags), page.Heading("Curves"), *pictures]
    if others:
        lines = (f"{name} ({sizes[name]} samples): {v}" for name, v in others.items())
        blocks += [page.Heading("Controls"), page.Text(NOBODYS), *map(page.Text, lines)]
        blocks.append(page.Table(result.controls, "The controls, one row per tau", folded=True))
    if samples is not None:
        blocks += [page.Heading("Samples"), page.Table(samples.head(20), "The best known")]
    blocks += [page.Heading("Numbers"), page.Table(result.frame, "One row per tau", folded=True)]
    return [*blocks, page.Heading("What this does not show"), page.Text(CAVEAT)]
