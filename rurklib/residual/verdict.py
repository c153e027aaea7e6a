"""Residual knowledge, none detected, or over-forgotten: one rule for the whole curve.

A p per tau asks one question many times. Five *parts* (:mod:`rurklib.residual.parts`) each ask once
whether a further re-trained model could have shown a number of the curve; **the rule** joins their
p into one (``combined``), which is held against the level. It is as sharp as the best part to
within a few points on every problem that was tried, and its false alarms are near the level:
README.md has both, in tables. Two-sided, because a model that avoids the right answer gives the
forget set away as well. Where the parts disagree, the verdict says so.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from rurklib import checks
from rurklib.residual import uncertainty
from rurklib.residual.effect import as_ratio, effect_of_hits, effect_of_margins
from rurklib.residual.parts import OF_MARGINS, PARTS, combined, part_statistics
from rurklib.residual.uncertainty import MIN_REFERENCES, Pair

JOINT = "joint"
TESTS = (JOINT, *PARTS)
RESIDUAL, NONE, OVER = "residual knowledge", "none detected", "over-forgotten"
NO_VERDICT = "no verdict"
ODDS = {  # parts that are log-odds, and of what
    "soft hits": "over the curve the odds of the label's mean probability",
    "hits": "over the curve the odds of a right answer",
    PARTS[-1]: "at the first tau the odds of a right answer",
}


@dataclass(frozen=True)
class Verdict:
    """What the rule (or one of its parts) says of one model; ``str()`` says it in words.

    ``parts`` has the p of every part, ``p`` what they come to. ``effect`` is how far the model is
    from the average reference, with the ``1 - level`` interval ``low`` ... ``high`` for that
    distance, in ``unit``: logits, or a ratio of mean accuracies over the curve
    (by a test of hits; a difference, unit accuracy, where no
    reference recognises anything). ``p`` asks more: could a further re-trained model be that far
    away? So an interval without 0 and a large p go together well. ``detectable_margin`` (logits)
    and ``detectable_ratio`` are effects that one part finds in 80 % of runs whose re-trained models
    vary as these do, which few tell badly (inf: not even a model that is always right). NaN is what
    can't be known; ``note`` says why, or warns.
    ``leading`` is the part with the least p, and ``shift`` what it found, in logits or log-odds.
    ``gained``: copies are searched for on each model, re-trained ones gain something on those found
    on themselves, and both numbers are distances from what they show there.
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
    detectable_margin: float
    detectable_ratio: float
    parts: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    leading: str = ""
    shift: float = math.nan
    gained: bool = False

    @property
    def size(self) -> str:
        """How far the model is from re-trained ones, to be followed by their name: for a finding by
        the part that leads to it, so that it is on the side that the finding says."""
        if self._told_by_effect:
            size = {
                "logits": f"mean logit margin is {self.effect:+.3g} logits from",
                "ratio": f"mean accuracy is {self.effect:.4g} times",
                "accuracy": f"mean accuracy is {self.effect:+.3g} from",
            }[self.unit]
            return f"over the curve the {size} that of"
        if self.leading in ODDS:
            return f"{ODDS[self.leading]} are {math.exp(self.shift):.3g} times those of"
        return (
            f"over the curve the margin, each model's scaled to one spread over samples, is "
            f"{self.shift:+.3g} logits from that of"
        )

    @property
    def _told_by_effect(self) -> bool:
        of_it = self.leading in ("", "margin", self.test) and self.leading != PARTS[-1]
        return of_it or self.finding not in (RESIDUAL, OVER)

    def __str__(self) -> str:
        if self.finding == NO_VERDICT:
            return f"No verdict: {self.note}."
        none = self.finding == NONE
        what = "No residual knowledge detected" if none else self.finding.capitalize()
        between = f" ({100 * (1 - self.level):g} % interval {self.low:.3g} to {self.high:.3g})"
        between *= self._told_by_effect
        reach = f"{'within' if none else 'beyond'} what a further one would show"
        copies = " on copies found on themselves" * self.gained
        by = "" if self.test == JOINT else f"by {self.test} alone, "
        text = (
            f"{what} ({by}p = {self.p:.2g}, level {self.level:g}): {self.size} "
            f"the average of {self.references} re-trained models{copies}{between}, {reach}."
        )
        found = [f"{self.detectable_margin:.2g} logits"] * math.isfinite(self.detectable_margin)
        found += [f"a ratio of {self.detectable_ratio:.3g}"] * math.isfinite(self.detectable_ratio)
        if none and found:
            text += " If re-trained models vary as these do, a run like this finds "
            text += f"{' or '.join(found)} in four of five cases."
            much = self.detectable_margin > 3 and math.isinf(self.detectable_ratio)
            text += " More references, or radii at which they err, would tell more." * much
        return f"{text} {self.note}".rstrip()


def judge(
    hits: Pair,
    null_hits: Sequence[Pair],
    draws: int,
    margins: Pair,
    null_margins: Sequence[Pair],
    *,
    test: str = JOINT,
    level: float = 0.05,
) -> Verdict:
    """The verdict on one model from counts and margins.

    Args:
        hits: the model's [tau, sample] and its references' [k, tau, sample], out of ``draws``.
        null_hits: the same for each reference against the others
            (:func:`rurklib.residual.uncertainty.left_out` where all saw the same copies).
        draws: what hits are out of.
        margins: mean logit margins, shaped like the hits.
        null_margins: like ``null_hits``.
        test: ``"joint"``, the rule; or one part alone, a name in ``TESTS``. Choose before looking:
            five parts at 5 % are not one.
        level: the share of false alarms accepted, 1e-6 ... 0.999.
    """
    checks.number("level", level, 1e-6, 0.999)
    checks.one_of("test", test, TESTS)

    shown = part_statistics(hits, null_hits, draws, margins, null_margins)
    ps = {name: float(uncertainty.p_value(*values)) for name, values in shown.items()}
    k = len(hits[1])
    p, note = combined(list(ps.values())) if test == JOINT else ps.get(test, math.nan), ""
    leading, away = "", math.nan
    if k < MIN_REFERENCES:
        few = "1 re-trained model" if k == 1 else f"{k} re-trained models"
        finding = NO_VERDICT
        note = f"{few} can't show how much such models differ; give three or more, better six"
    elif not math.isfinite(p):
        finding, p = NO_VERDICT, math.nan
        note = f"the {test} test can't be computed: re-trained models give the same answers"
    else:
        shifts = {n: float(own - np.nan_to_num(uncertainty.spread(below, least)[0])) for
                  n, (own, below, least) in shown.items()}  # fmt: skip
        sides = {n: shift > 0 for n, shift in shifts.items()}
        leading = min(ps, key=lambda n: math.inf if math.isnan(ps[n]) else ps[n])
        leading = leading if test == JOINT else test
        away = shifts[leading]
        finding = NONE if p >= level else RESIDUAL if sides[leading] else OVER
        note = _disagreement(ps, sides, finding, level) if test == JOINT else ""
    of_hits = test.startswith("hits")
    if of_hits:
        size = effect_of_hits(hits, null_hits, draws, 1 - level)
    else:
        scaled = test == "scaled margin"
        size = effect_of_margins(margins, null_margins, 1 - level, scaled=scaled)
    alpha = level / (len(ps) if test == JOINT else 1)  # what one part needs to be heard for sure
    can = {n: float(uncertainty.detectable(v[1], v[2], alpha=alpha)) for n, v in shown.items()}
    shift = math.nan if of_hits else can[test if test in PARTS[:2] else "margin"]
    ratio = math.nan if test in OF_MARGINS else as_ratio(hits[1], draws, can["hits"])
    return Verdict(
        finding, test, level, k, p, size.value, size.low, size.high, size.unit,
        detectable_margin=shift, detectable_ratio=ratio, parts=ps, note=note,
        leading=leading, shift=away, gained=size.gained,
    )  # fmt: skip


def without_references(test: str, level: float) -> Verdict:
    """No verdict, for want of a re-trained model to compare with."""
    note = (
        "no re-trained model was given; whether forget samples are treated unlike held-out ones "
        "can be told without (exchange)"
    )
    nan = math.nan
    return Verdict(NO_VERDICT, test, level, 0, nan, nan, nan, nan, "logits", nan, nan, note=note)


def _disagreement(
    ps: Mapping[str, float], sides: Mapping[str, bool], finding: str, level: float
) -> str:
    """A sentence on the parts that say otherwise than the rule; "" if they agree."""
    known = {n: p for n, p in ps.items() if not math.isnan(p)}
    heard = {n for n, p in known.items() if p < level}

    def said(names: set[str]) -> str:
        return ", ".join(f"{n} (p = {known[n]:.2g})" for n in known if n in names)

    if finding == NONE:
        alone = f"Alone, {said(heard)} would be a finding; {len(known)} questions are not one."
        return alone if heard else ""
    other = {n for n in heard if sides[n] != (finding == RESIDUAL)}
    silent = known.keys() - heard
    if not silent and not other:
        return ""
    text = f"Its parts disagree: found by {said(heard - other)}"
    text += f"; on the other side by {said(other)}" * bool(other)
    text += f"; not by {said(set(silent))}" * bool(silent) + "."
    if heard <= {"margin", "soft hits"}:
        text += " It may be confidence rather than memory."
    return text
