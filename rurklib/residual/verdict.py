"""Residual knowledge, none detected, or over-forgotten: one rule for the whole curve.

A p per tau asks one question many times. So five *parts* each stand for the whole curve by one
number, and one two-sided prediction each (``statistics.p_value``) says whether a new re-trained
model could have shown that:

- ``"margin"``: the logit margin, averaged over samples, copies and taus: how far each copy is from
  being (un)recognised, not only on which side. A model that merely multiplies its logits moves it.
- ``"scaled margin"``: the same after each model's margins were divided by their own standard
  deviation over samples, and multiplied by the references' mean one. Unaffected by a common factor,
  and less sharp for knowledge of a few samples, which widens that deviation.
- ``"soft hits"``: the log-odds of the mean probability, one from each sample's mean margin,
  averaged over taus. Between margins and hits: what is surely known counts for no more than one.
- ``"hits"``: the log-odds of the accuracy, averaged over taus: the paper's counts, no confidence.
- ``"hits at the first tau"``: the same there alone; at tau = 0, accuracy on the samples. Where
  noise makes re-trained models differ, it can tell what the whole curve can't.

**The rule** joins their p into one (``combined``), which is held against the level. It is as sharp
as the best part to within a few points on every problem that was tried, and its false alarms are
near the level: README.md has both, in tables. Two-sided, because a model that avoids the right
answer gives the forget set away as well. Where the parts disagree, the verdict says so.

The effect is the distance from re-trained models over the whole curve. Where copies are searched
for on each model, re-trained models are first put where they would be on copies found on
themselves: what a search gains is no knowledge of the model, and the verdict's p takes it off too.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from scipy import special

from rurklib import checks
from rurklib.residual import statistics
from rurklib.residual.statistics import MIN_REFERENCES, Pair

PARTS = ("margin", "scaled margin", "soft hits", "hits", "hits at the first tau")
OF_MARGINS = PARTS[:3]

# In one part: the model's deviation from its references, each reference's from the others [k], and
# the least standard deviation that is believed of the latter.
PartStatistic = tuple[np.ndarray, np.ndarray, float]
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
            (:func:`rurklib.residual.statistics.left_out` where all saw the same copies).
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
    ps = {name: float(statistics.p_value(*values)) for name, values in shown.items()}
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
        shifts = {n: float(own - np.nan_to_num(statistics.spread(below, least)[0])) for
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
    can = {n: float(statistics.detectable(v[1], v[2], alpha=alpha)) for n, v in shown.items()}
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


# --- the parts ------------------------------------------------------------------------------------


def combined(p: Sequence[float]) -> float:
    """One p for several p that depend on each other: the Cauchy combination, truncated at 1/2.

    The mean of cot(pi p_i) is nearly standard Cauchy far out, for correlated normal statistics too
    (Liu & Xie 2020, doi:10.1080/01621459.2018.1554485), not for any. Terms of p_i > 1/2 are set to
    0 (Fang et al. 2023), so that a part that sees nothing takes nothing away: the outcome is below
    the level whenever one of n p is below level / n. NaN (a part that can't be computed) is left
    out; NaN if all are.

    >>> [round(combined(p), 3) for p in ([0.01, 0.01, 0.01], [0.01, 0.9, 0.9])]
    [0.01, 0.03]
    """
    known = np.array([x for x in p if not math.isnan(x)])
    if not len(known) or known.min() >= 0.5:
        return float(known.min()) if len(known) else math.nan
    with np.errstate(divide="ignore"):
        far = (1 / np.tan(np.pi * np.minimum(known, 0.5))).mean()
    return float(np.arctan2(1.0, far) / np.pi)


def values_of_parts(hits: np.ndarray, margins: np.ndarray, draws: int) -> dict[str, np.ndarray]:
    """Each part's number for every model. Hits and margins [..., tau, sample] -> {part: [...]}."""
    odds = statistics.log_odds(hits, draws)
    values = {n: f(margins) for n, f in _of_margins(margins).items()}
    return values | {"hits": odds.mean(-1), PARTS[-1]: odds[..., 0]}


def part_statistics(
    hits: Pair,
    null_hits: Sequence[Pair],
    draws: int,
    margins: Pair,
    null_margins: Sequence[Pair],
) -> dict[str, PartStatistic]:
    """For every part that can be computed, where the model is: see ``PartStatistic``."""
    least = statistics.least_spread(hits[1], draws)
    own, below = statistics.odds_deviations(hits, null_hits, draws)
    shown: dict[str, PartStatistic] = {}
    for name, f in _of_margins(margins[0], unit_of(margins)).items():
        shown[name] = (*statistics.deviations(f, margins, null_margins), 0.0)
    shown["hits"] = own.mean(-1), below.mean(-1), float(least.mean())
    return shown | {PARTS[-1]: (own[0], below[..., 0], float(least[0]))}


def _of_margins(
    margins: np.ndarray, unit: float = 1.0
) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """The parts that can be computed from margins like these [..., tau, sample]."""

    def mean(values: np.ndarray) -> np.ndarray:
        return values.mean((-2, -1))

    parts: dict[str, Callable[[np.ndarray], np.ndarray]] = {"margin": mean}
    if margins.shape[-1] > 1:  # a single sample has no deviation over samples
        parts["scaled margin"] = lambda m: mean(in_sd(m)) * unit
    return parts | {"soft hits": lambda m: statistics.log_odds(special.expit(m), 1).mean(-1)}


def in_sd(margins: np.ndarray) -> np.ndarray:
    """Margins in units of their standard deviation over samples, model by model. [..., tau, s]"""
    sd = margins.mean(-2).std(-1, ddof=1)[..., None, None]
    return np.divide(margins, sd, out=np.full(margins.shape, np.nan), where=sd > 0)


def unit_of(margins: Pair) -> float:
    """The references' mean standard deviation of the margin over samples, in logits; NaN if there
    is one sample."""
    others = margins[1].mean(1)
    return float(others.std(-1, ddof=1).mean()) if others.shape[-1] > 1 else math.nan


# --- the effect -----------------------------------------------------------------------------------


class Effect(NamedTuple):
    """The distance from the average re-trained model, its interval, and in which unit; ``gained``:
    whether re-trained models gain something on copies of their own, and were put there."""

    value: float
    low: float
    high: float
    unit: str
    gained: bool


def effect_of_margins(
    margins: Pair, null: Sequence[Pair], level: float, *, scaled: bool = False
) -> Effect:
    """In logits; ``scaled``: with every model's spread over samples made the re-trained ones'."""
    unit = unit_of(margins) if scaled else 1.0

    def read(values: np.ndarray) -> np.ndarray:
        return in_sd(values) * unit if scaled else values

    others, gained = on_own_copies(read(margins[1]), ((read(a), read(b)) for a, b in null))
    a, b = (m.mean(-2, keepdims=True) for m in (read(margins[0]), others))
    low, high = statistics.difference_interval(a, b, level=level)
    return Effect(float(a.mean() - b.mean()), float(low[0]), float(high[0]), "logits", gained)


def effect_of_hits(hits: Pair, null: Sequence[Pair], draws: int, level: float) -> Effect:
    """A ratio of mean accuracies; where no re-trained model recognises anything, a difference."""
    others, gained = on_own_copies(hits[1], null)
    # Streams of copies are shared by all taus, so a mean over taus may be as noisy as one of them.
    shares = hits[0] / draws, np.clip(others / draws, 0, 1)
    a, b = (s.mean(-2, keepdims=True) * draws for s in shares)
    if b.any():
        low, high = statistics.ratio_interval(a, b, draws, level)
        return Effect(float(a.mean() / b.mean()), float(low[0]), float(high[0]), "ratio", gained)
    low, high = statistics.difference_interval(a, b, draws, level)
    value = float((a.mean() - b.mean()) / draws)
    return Effect(value, float(low[0]), float(high[0]), "accuracy", gained)


def on_own_copies(others: np.ndarray, null: Iterable[Pair]) -> tuple[np.ndarray, bool]:
    """Values of re-trained models [k, tau, sample] on a model's copies, moved by what such models
    gain on copies of their own, and whether that is anything.

    ``null``: each on its own copies [tau, sample], and the rest on those [k - 1, tau, sample]. Its
    distance from the rest is k / (k - 1) times that from the mean of all, where nobody gains
    anything; the values are then returned as they are.
    """
    away = [own - rest.mean(0) for own, rest in null if len(rest)]
    gain = np.mean(away, 0) if away else np.zeros(1)
    if np.abs(gain).max() < 1e-9:  # all on the same copies, but for rounding
        return others, False
    k = len(away)
    return others.mean(0) + gain + (np.stack(away) - gain) * ((k - 1) / k), True


def as_ratio(others: np.ndarray, draws: int, shift: float) -> float:
    """A shift of the references' log-odds as a ratio of accuracies; NaN if they have none, inf if
    a model that is always right would not have shifted by that."""
    n = others.shape[-1]
    odds = statistics.log_odds(others, draws).mean()
    if not others.any():
        return np.nan
    if odds + shift > np.log(2 * n + 1):
        return np.inf
    accuracy = statistics.accuracy_of(np.array([odds, odds + shift]), n)
    return float(accuracy[1] / accuracy[0])
