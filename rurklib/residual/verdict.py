"""Residual knowledge, none detected, or over-forgotten: one t prediction for the whole curve.

A p per tau asks one question many times. Here one number stands for the curve, and one two-sided
prediction (``uncertainty.p_value``) says whether a re-trained model could have shown it:

- ``"margin"``: the logit margin, averaged over samples, copies and taus. The sharpest, as every
  copy tells how far it is from being (un)recognised and not only on which side. It takes a model's
  confidence at face value: one that merely multiplies its logits moves it.
- ``"scaled margin"``: the same after each model's margins were divided by their own standard
  deviation over samples, and multiplied by the references' mean one. Deaf to a common factor, and
  less sharp for knowledge of a few samples, which widens that deviation.
- ``"hits"``: the log-odds of the accuracy, averaged over taus: the paper's counts, no confidence.

Two-sided, because a model that avoids the right answer gives the forget set away as well.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rurklib import checks
from rurklib.residual import uncertainty
from rurklib.residual.uncertainty import ESTIMANDS, MIN_REFERENCES, Draws, Pair

TESTS = ("margin", "scaled margin", "hits")
RESIDUAL, NONE, OVER = "residual knowledge", "none detected", "over-forgotten"
NO_VERDICT = "no verdict"

# In one test: the model's deviation from its references, each reference's from the others [k], and
# the least standard deviation that is believed of the latter.
TestStatistic = tuple[np.ndarray, np.ndarray, float]


@dataclass(frozen=True)
class Verdict:
    """What one test says of one model; ``str()`` says it in words.

    ``effect`` is how far the model is from the average reference, with the ``1 - level`` interval
    ``low`` ... ``high`` for that distance under ``estimand``, in ``unit``: logits (margin tests) or
    a ratio of mean accuracies over the curve (hits; a difference, unit accuracy, where no reference
    recognises anything). ``p`` asks more: could a further re-trained model be that far away? So an
    interval without 0 and a large p go together well. ``detectable_margin`` (logits) and
    ``detectable_ratio`` are the smallest effects that the margin test and the hit test would have
    found in 80 % of such runs (inf: not even a model that is always right). NaN is what can't be
    known; ``note`` says why, or warns.
    """

    finding: str
    test: str
    level: float
    references: int
    p: float
    effect: float
    low: float
    high: float
    unit: str
    estimand: str
    detectable_margin: float
    detectable_ratio: float
    note: str = ""

    def __str__(self) -> str:
        if self.finding == NO_VERDICT:
            return f"No verdict: {self.note}."
        none = self.finding == NONE
        what = "No residual knowledge detected" if none else self.finding.capitalize()
        percent = f"{100 * (1 - self.level):g} % interval"
        size = {
            "logits": f"the mean logit margin is {self.effect:+.3g} logits from",
            "ratio": f"the mean accuracy is {self.effect:.4g} times",
            "accuracy": f"the mean accuracy is {self.effect:+.3g} from",
        }[self.unit]
        reach = "as a further one could be" if none else "more than a further one would be"
        text = (
            f"{what} ({self.test} test, p = {self.p:.2g}, level {self.level:g}): over the curve "
            f"{size} that of the average of {self.references} re-trained models "
            f"({percent} {self.low:.3g} to {self.high:.3g}), {reach}."
        )
        found = [f"{self.detectable_margin:.2g} logits"] * (self.unit == "logits")
        found += [f"a ratio of {self.detectable_ratio:.3g}"] * math.isfinite(self.detectable_ratio)
        if none and found:
            text += f" This run would have found {' or '.join(found)} in 80 % of cases."
        return f"{text} {self.note}".rstrip()


def judge(
    hits: Pair,
    null_hits: Sequence[Pair],
    draws: Draws,
    margins: Pair | None = None,
    null_margins: Sequence[Pair] = (),
    *,
    test: str | None = None,
    level: float = 0.05,
    estimand: str = ESTIMANDS[0],
) -> Verdict:
    """The verdict on one model from counts and margins.

    Args:
        hits: the model's [tau, sample] and its references' [k, tau, sample], out of ``draws``.
        null_hits: the same for each reference against the others
            (:func:`rurklib.residual.uncertainty.held_out` where all saw the same copies).
        draws: what hits are out of, one number or [tau].
        margins: mean logit margins, shaped like the hits, or None if only hits were kept.
        null_margins: like ``null_hits``.
        test: a name in ``TESTS``; default margin, or hits where there are no margins. Choose it
            before looking: three tests at 5 % are not one.
        level: the share of false alarms accepted, 0 ... 1.
        estimand: for the effect's interval (see ``uncertainty``); p doesn't depend on it.
    """
    checks.number("level", level, 0.0, 1.0)
    checks.one_of("estimand", estimand, ESTIMANDS)
    test = test or ("hits" if margins is None else TESTS[0])
    checks.one_of("test", test, TESTS)
    if test != "hits" and margins is None:
        raise checks.InputError(
            f"test = {test!r} needs margins, and only hits were kept: use 'hits'"
        )

    shown = test_statistics(hits, null_hits, draws, margins, null_margins)
    ps = {name: float(uncertainty.p_value(*values)) for name, values in shown.items()}
    can = {n: float(uncertainty.detectable(v[1], v[2], alpha=level)) for n, v in shown.items()}
    k, p, note = len(hits[1]), ps.get(test, math.nan), ""
    if k < MIN_REFERENCES:
        few = "1 re-trained model" if k == 1 else f"{k} re-trained models"
        finding = NO_VERDICT
        note = f"{few} can't show how much such models differ; give three or more, better six"
    elif not math.isfinite(p):
        finding, note = NO_VERDICT, f"the {test} test can't be computed from these counts"
    elif p >= level:
        finding = NONE
    else:
        own, below, least = shown[test]
        finding = RESIDUAL if own > uncertainty.spread(below, least)[0] else OVER
        if test == "margin" and ps.get("scaled margin", 0.0) >= level:
            note = (
                f"With every model's margins on one scale p = {ps['scaled margin']:.2g}: "
                "it may be confidence rather than memory."
            )
    if margins is not None and test == "scaled margin":
        unit = _unit(margins)
        margins = _in_sd(margins[0]) * unit, _in_sd(margins[1]) * unit
    effect = _effect(hits, draws, None if test == "hits" else margins, 1 - level, estimand)
    shift = can.get("margin" if test == "hits" else test, math.nan)
    ratio = _as_ratio(hits[1], draws, can["hits"])
    return Verdict(finding, test, level, k, p, *effect, estimand, shift, ratio, note)


def test_statistics(
    hits: Pair,
    null_hits: Sequence[Pair],
    draws: Draws,
    margins: Pair | None,
    null_margins: Sequence[Pair],
) -> dict[str, TestStatistic]:
    """For every test that can be made, where the model stands: see ``TestStatistic``."""

    def mean(values: np.ndarray) -> np.ndarray:
        return values.mean((-2, -1))

    least = float(uncertainty.least_spread(hits[1], draws).mean())
    own, below = uncertainty.odds_deviations(hits, null_hits, draws)
    shown: dict[str, TestStatistic] = {"hits": (own.mean(-1), below.mean(-1), least)}
    if margins is not None:
        shown["margin"] = (*uncertainty.deviations(mean, margins, null_margins), 0.0)
        if margins[0].shape[-1] > 1:
            unit = _unit(margins)

            def scaled(values: np.ndarray) -> np.ndarray:
                return mean(_in_sd(values)) * unit

            shown["scaled margin"] = (*uncertainty.deviations(scaled, margins, null_margins), 0.0)
    return shown


def _in_sd(margins: np.ndarray) -> np.ndarray:
    """Margins in units of their standard deviation over samples, model by model. [..., tau, s]"""
    sd = margins.mean(-2).std(-1, ddof=1)[..., None, None]
    return np.divide(margins, sd, out=np.full(margins.shape, np.nan), where=sd > 0)


def _unit(margins: Pair) -> float:
    """The references' mean standard deviation of the margin over samples, in logits."""
    return margins[1].mean(1).std(-1, ddof=1).mean()


def _effect(
    hits: Pair, draws: Draws, margins: Pair | None, level: float, estimand: str
) -> tuple[float, float, float, str]:
    """Distance from the average reference over the whole curve, its interval, its unit."""
    if margins is not None:
        a, b = (m.mean(-2, keepdims=True) for m in margins)
        low, high = uncertainty.difference_interval(a, b, estimand=estimand, level=level)
        return float(a.mean() - b.mean()), float(low[0]), float(high[0]), "logits"
    # Streams of copies are shared by all taus, so a mean over taus may be as noisy as one of them.
    few = int(np.min(draws))
    a, b = (uncertainty.share(h, draws).mean(-2, keepdims=True) * few for h in hits)
    if b.any():
        low, high = uncertainty.ratio_interval(a, b, few, estimand=estimand, level=level)
        return float(a.mean() / b.mean()), float(low[0]), float(high[0]), "ratio"
    low, high = uncertainty.difference_interval(a, b, few, estimand=estimand, level=level)
    return float((a.mean() - b.mean()) / few), float(low[0]), float(high[0]), "accuracy"


def _as_ratio(others: np.ndarray, draws: Draws, shift: float) -> float:
    """A shift of the references' log-odds as a ratio of accuracies; NaN if they have none, inf if
    a model that is always right would not have shifted by that."""
    n = others.shape[-1]
    odds = uncertainty.log_odds(others, draws).mean()
    if not others.any():
        return math.nan
    if odds + shift > np.log(2 * n + 1):
        return math.inf
    accuracy = uncertainty.accuracy(np.array([odds, odds + shift]), n)
    return float(accuracy[1] / accuracy[0])
