"""An audit's page: the curves, the words that go with any audit, and the order of both."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from rurklib.residual.exchange import Exchange
from rurklib.residual.verdict import NO_VERDICT, NONE, OVER, RESIDUAL, Verdict
from rurklib.study import store
from rurklib.study.audit.plain import Audited, right_in_words
from rurklib.study.figures.curves import against_references
from rurklib.study.figures.style import png
from rurklib.study.report import page

HEADINGS = {
    RESIDUAL: "The model knows more of the forget samples than re-trained models do",
    OVER: "The model knows less of the forget samples than re-trained models do",
    NONE: "On the forget samples nothing distinguishes the model from re-trained ones",
    NO_VERDICT: "No verdict",
}
CURVES = (
    "Left: residual knowledge, with the 95 % interval of the ratio. Right: the logit margin above "
    "the references'. Grey: 95 % prediction interval for one more re-trained model, at each tau. "
    "Each control is compared on its own samples."
)
SAMPLES = (
    "The twenty samples that the model knows most beyond re-trained models (margin_difference, in "
    "logits); index is a sample's place in the data. samples.csv has all"
)
CONTROLS = (
    "Nobody was to forget these: a finding here is robustness, confidence or damage, not memory."
)
WORDS = (
    "Recognised: the model's answer to a copy is its label. Ratio: how often that is so, divided "
    "by re-trained models' mean. Margin: the label's logit less the log-sum-exp of the others, "
    "which is the log-odds of the label. The rule combines the p-values of five statistics of the "
    "whole curve: the mean margin; the scaled margin, unaffected by rescaling the logits; soft "
    "hits (the label's probability); hits (copies recognised); hits at the first tau."
)
CAVEAT = (
    "That a model has forgotten, when nothing is detected: effects below the smallest detectable "
    "one stay unseen, and other perturbations were not tried. That an effect is memory: where "
    "held-out samples show the same, it is robustness or confidence. That the references have the "
    "model's recipe, without the forget samples."
)


def write_page(
    folder: Path,
    title: str,
    result: Audited,
    samples: pd.DataFrame,
    summary: Mapping[str, Any],
    controls: Mapping[str, Verdict],
    exchange: Exchange | None,
) -> None:
    """Write curves.png and report.html into ``folder``: counts and answers first, then what casts
    doubt on them, then numbers.

    ``summary`` is what audit.json holds, ``controls`` each control's verdict.
    """
    what = f"Residual knowledge over tau, {title}"
    figure = against_references(result.frame, result.controls, title=what)
    alt = f"{what} (data: residual_knowledge.csv)"
    store.write(folder / "curves.png", png(figure, alt))
    verdict, settings, k = result.judge("model"), summary["measurement"], len(result.references)
    sizes = settings["samples"]
    setting = (
        f"{sizes['forget']} forget samples, {settings['draws']} copies of each per tau "
        f"({settings['perturbation']}), {k or 'no'} re-trained reference{'' if k == 1 else 's'}, "
        f"seed {settings['seed']}; taus {', '.join(f'{tau:g}' for tau in settings['taus'])}."
    )
    answers = [right_in_words(result.right or {}), summary["verdict"]["sentence"]]
    texts = [t for t in (*answers, str(exchange or ""), summary["rests_on"], setting) if t]
    flags = [str(flag) for flag in result.flags] or ["None raised."]
    blocks: list[page.Block] = [page.Heading(HEADINGS[verdict.finding]), *map(page.Text, texts)]
    blocks += [page.Heading("Flags"), *map(page.Text, flags)]
    blocks += [page.Heading("Curves"), page.Picture(folder / "curves.png", alt, CURVES)]
    if controls:
        lines = [f"{name} ({sizes[name]} samples): {_short(v)}" for name, v in controls.items()]
        blocks += [page.Heading("Controls"), page.Text(CONTROLS), *map(page.Text, lines)]
        blocks.append(page.Table(result.controls, "The controls, one row per tau", folded=True))
    blocks += [page.Heading("Samples"), page.Table(samples.head(20), SAMPLES)]
    blocks += [page.Heading("Numbers"), page.Table(result.frame, "One row per tau", folded=True)]
    blocks += [page.Heading("Words"), page.Text(WORDS)]
    blocks += [page.Heading("What this does not show"), page.Text(CAVEAT)]
    page.write_page(folder / "report.html", title, blocks)


def _short(verdict: Verdict) -> str:
    """A control's verdict in a line."""
    if not math.isfinite(verdict.p):
        return verdict.finding
    return f"{verdict.finding}, p = {verdict.p:.2g}: {verdict.distance} of re-trained ones"
