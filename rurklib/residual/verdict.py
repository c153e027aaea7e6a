"""Residual knowledge, none detected, or over-forgotten: one rule for the whole curve.

A p per tau asks one question many times. So five *statistics* each stand for the whole curve by one
number, and one two-sided prediction each (``statistics.p_value``) says whether a new re-trained
model could have shown that:

- ``"margin"``: the log-odds of y (its logit less the log-sum-exp of the others'), averaged over
  samples, copies and taus. A model that merely rescales its logits moves it.
- ``"scaled margin"``: the same in units of each model's own standard deviation over samples.
  Unaffected by rescaling; less sharp for knowledge of a few samples, which widens that deviation.
- ``"soft hits"``: the log-odds of the mean probability, one from each sample's mean margin,
  averaged over taus. Between margins and hits: what is surely known counts for no more than one.
- ``"hits"``: the log-odds of the accuracy, averaged over taus: the paper's counts, no confidence.
- ``"hits at the first tau"``: the same there alone; at tau = 0, accuracy on the samples. Where
  noise makes re-trained models differ, it can tell what the whole curve can't.

**The rule** joins their p into one (:func:`combined`), which is held against the level. It was
chosen among smaller sets by measurement (``tests/benchmarks/rule.py``); README.md has its power and
its false alarms. It is two-sided, because a model that avoids the right answer gives the forget set
away as well. The side is that of the statistic with the least p; where another significant one
points to the other side, the verdict is *mixed*.

Under a gradient-based perturbation each model is taken on the copies found on itself, so a new
re-trained model is exchangeable with the references, and there is nothing to correct for.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import special

from rurklib.residual import statistics
from rurklib.residual.statistics import MIN_REFERENCES

STATISTICS = ("margin", "scaled margin", "soft hits", "hits", "hits at the first tau")
MARGIN, SCALED, SOFT, HITS, FIRST_HITS = STATISTICS
RESIDUAL, NONE, OVER = "residual knowledge", "none detected", "over-forgotten"
NO_VERDICT = "no verdict"
LEVEL = 0.05


@dataclass(frozen=True)
class Verdict:
    """What the rule says of one model; ``str()`` says it in a sentence.

    ``p_values`` has the p of each statistic and ``p`` what they come to; ``shifts`` is how far each
    is from the references' mean (logits, standard deviations over samples, and log-odds for the
    others). ``effect`` is the mean logit margin less the references', in logits, and ``low`` ...
    ``high`` its 95 % interval: how well that distance from the *mean* reference is known. ``p``
    asks whether a new re-trained model could be as far from it, as single ones are: report that.
    ``detectable_margin`` (logits) and ``detectable_ratio`` (of accuracies; inf: not even a model
    that is always right) are effects that one statistic finds in 80 % of runs whose re-trained
    models vary as these do. NaN is what can't be known; ``note`` says why, or what held-out samples
    show.
    """

    finding: str
    references: int
    p: float = math.nan
    p_values: Mapping[str, float] = field(default_factory=dict)
    shifts: Mapping[str, float] = field(default_factory=dict)
    effect: float = math.nan
    low: float = math.nan
    high: float = math.nan
    detectable_margin: float = math.nan
    detectable_ratio: float = math.nan
    level: float = LEVEL
    note: str = ""

    @property
    def mixed(self) -> bool:
        """Whether statistics of a finding that are significant, each alone at the level, point to
        different sides."""
        sides = {self.shifts[n] > 0 for n, p in self.p_values.items() if p < self.level}
        return self.finding in (RESIDUAL, OVER) and len(sides) == 2

    @property
    def leading(self) -> str:
        """The statistic with the least p; "margin" where nothing is found."""
        if self.finding not in (RESIDUAL, OVER):
            return MARGIN
        return min(self.p_values, key=lambda n: np.nan_to_num(self.p_values[n], nan=np.inf))

    @property
    def distance(self) -> str:
        """How far the model is from re-trained ones by the leading statistic, in words."""
        if self.leading == MARGIN:
            interval = f"95 % interval {self.low:.2g} to {self.high:.2g}"
            return f"mean logit margin {self.effect:+.3g} ({interval}) from that"
        if self.leading == SCALED:
            return f"scaled margin {self.shifts[SCALED]:+.3g} deviations over samples from that"
        return f"odds of {self.leading} {math.exp(self.shifts[self.leading]):.3g} times those"

    @property
    def text(self) -> str:
        """The sentence, and after a finding what held-out samples show."""
        return str(self) if self.finding == NO_VERDICT else f"{self} {self.note}".rstrip()

    def __str__(self) -> str:
        if self.finding == NO_VERDICT:
            return f"No verdict: {self.note}."
        name = "no residual knowledge detected" if self.finding == NONE else self.finding
        mixed = "mixed, " if self.mixed else ""
        return (
            f"{name[0].upper()}{name[1:]} ({mixed}p = {self.p:.2g}): {self.distance} of "
            f"{self.references} re-trained models."
        )


def judge(
    hits: np.ndarray,
    margins: np.ndarray,
    reference_hits: np.ndarray,
    reference_margins: np.ndarray,
    draws: int,
    *,
    level: float = LEVEL,
) -> Verdict:
    """The verdict on one model from its hits and mean logit margins [tau, sample] and those of k
    references [k, tau, sample]; hits are out of ``draws``. ``level``: accepted false alarms."""
    k = len(reference_hits)
    if k < MIN_REFERENCES:
        return Verdict(NO_VERDICT, k, note=f"{k} re-trained models; give three, better six")
    own = values(hits, margins, draws)
    others = values(reference_hits, reference_margins, draws)
    floors = least(reference_hits, draws)
    ps = {n: float(statistics.p_value(own[n], others[n], floors[n])) for n in STATISTICS}
    shifts = {n: float(own[n] - others[n].mean()) for n in STATISTICS}
    p = combined(list(ps.values()))
    if math.isnan(p):
        return Verdict(NO_VERDICT, k, note="re-trained models give the same answers")
    leading = min(STATISTICS, key=lambda n: np.nan_to_num(ps[n], nan=np.inf))
    half = special.stdtrit(k - 1, 0.975) * others[MARGIN].std(ddof=1) / math.sqrt(k)
    alpha = level / len(STATISTICS)  # what one statistic needs to be heard for sure
    can = {n: float(statistics.detectable(others[n], floors[n], alpha)) for n in (MARGIN, HITS)}
    return Verdict(
        finding=NONE if p >= level else RESIDUAL if shifts[leading] > 0 else OVER,
        references=k,
        p=p,
        p_values=ps,
        shifts=shifts,
        effect=shifts[MARGIN],
        low=shifts[MARGIN] - half,
        high=shifts[MARGIN] + half,
        detectable_margin=can[MARGIN],
        detectable_ratio=as_ratio(reference_hits, draws, can[HITS]),
        level=level,
    )


def values(hits: np.ndarray, margins: np.ndarray, draws: int) -> dict[str, np.ndarray]:
    """Each statistic of every model. Hits and margins [..., tau, sample] -> {statistic: [...]}.

    The scaled margin is NaN for a single sample, and where all samples have one margin.
    """
    odds, over_taus = statistics.log_odds(hits, draws), margins.mean(-2)
    mean, several = np.asarray(over_taus.mean(-1)), margins.shape[-1] > 1
    sd = over_taus.std(-1, ddof=1) if several else np.zeros(mean.shape)
    return {
        MARGIN: mean,
        SCALED: np.divide(mean, sd, out=np.full(mean.shape, np.nan), where=sd > 0),
        SOFT: statistics.log_odds(special.expit(margins), 1).mean(-1),
        HITS: odds.mean(-1),
        FIRST_HITS: odds[..., 0],
    }


def least(reference_hits: np.ndarray, draws: int) -> dict[str, float]:
    """The least standard deviation to believe of each statistic of references."""
    floors = statistics.least_spread(reference_hits, draws)
    return dict.fromkeys(STATISTICS, 0.0) | {HITS: floors.mean(), FIRST_HITS: floors[0]}


def combined(p: Sequence[float]) -> float:
    """One p for several p that depend on each other: the Cauchy combination, truncated at 1/2.

    The mean of cot(pi p_i) is nearly standard Cauchy far out, for correlated normal statistics too
    (Liu & Xie 2020, doi:10.1080/01621459.2018.1554485), not for any. Terms of p_i > 1/2 are set to
    0 (Fang et al. 2023), so that a statistic that sees nothing takes nothing away: the outcome is
    below the level whenever one of n p is below level / n. NaN (a statistic that can't be
    computed) is left out; NaN if all are.

    >>> [round(combined(p), 3) for p in ([0.01, 0.01, 0.01], [0.01, 0.9, 0.9])]
    [0.01, 0.03]
    """
    known = np.array([x for x in p if not math.isnan(x)])
    if not len(known) or known.min() >= 0.5:
        return float(known.min()) if len(known) else math.nan
    with np.errstate(divide="ignore"):
        far = (1 / np.tan(np.pi * np.minimum(known, 0.5))).mean()
    return float(np.arctan2(1.0, far) / np.pi)


def as_ratio(others: np.ndarray, draws: int, shift: float) -> float:
    """A shift of the references' log-odds as a ratio of accuracies; NaN if they have none, inf if
    a model that is always right would not have shifted by that."""
    n = others.shape[-1]
    odds = statistics.log_odds(others, draws).mean()
    if not others.any():
        return math.nan
    if odds + shift > np.log(2 * n + 1):
        return math.inf
    accuracy = statistics.accuracy_of(np.array([odds, odds + shift]), n)
    return float(accuracy[1] / accuracy[0])
