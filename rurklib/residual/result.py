"""``ResidualKnowledge``: what a measurement returns; every number in it follows from counts."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from rurklib.checks import InputError
from rurklib.residual import controls as control
from rurklib.residual import statistics
from rurklib.residual.counts import Counts
from rurklib.residual.exchange import Exchange, exchange
from rurklib.residual.flags import Flag, unlike
from rurklib.residual.statistics import Pair
from rurklib.residual.verdict import (
    JOINT,
    OVER,
    RESIDUAL,
    Verdict,
    judge,
    part_statistics,
    without_references,
)

COLUMNS = (
    "tau", "forget_accuracy", "reference_accuracy", "ratio_of_means", "mean_of_ratios",
    "undefined_share", "null_low", "null_high", "difference", "null_difference_low",
    "null_difference_high", "ratio_low", "ratio_high",
    "predict_low", "predict_high", "p_value", "margin", "margin_difference",
    "margin_predict_low", "margin_predict_high", "margin_sd",
)  # fmt: skip


@dataclass(frozen=True)
class ResidualKnowledge:
    """The counts of a measurement and what follows from them.

    ``counts[name]`` are the counts on the copies made for ``name`` (a model or a reference): the
    same object for all under a random perturbation, one each under a gradient-based one, where
    every model is probed with the copies found on itself (the paper's protocol).
    ``control_results`` holds the same measurement of each control, ``flags`` what looks wrong
    (none: clean), ``y`` the samples' labels.
    """

    counts: Mapping[Any, Counts]
    models: tuple[Any, ...]
    references: tuple[Any, ...]
    single: bool = False
    control_results: Mapping[str, ResidualKnowledge] = field(default_factory=dict)
    flags: list[Flag] = field(default_factory=list)
    y: np.ndarray | None = None  # the samples' labels [n]; None: all are of one class

    def hits_of(self, name: Hashable) -> tuple[np.ndarray, np.ndarray]:
        """Hits of ``name`` [tau, sample] and of the references but itself [k, tau, sample]."""
        counts = self.counts[name]
        return counts.of(name), counts.of_all([r for r in self.references if r != name])

    @property
    def null(self) -> np.ndarray:
        """ratio_of_means of each reference held out against the others, [reference, tau]."""
        return self._null(lambda own, others, _: statistics.ratio_of_means(own, others))

    @property
    def null_difference(self) -> np.ndarray:
        """difference of each reference held out against the others, [reference, tau]."""
        return self._null(statistics.difference)

    def _null(self, estimate: Callable[[np.ndarray, np.ndarray, int], np.ndarray]) -> np.ndarray:
        first = next(iter(self.counts.values()))
        if len(self.references) < 2:
            return np.full((1, len(first.taus)), np.nan)
        return np.stack([estimate(*self.hits_of(r), self.counts[r].draws) for r in self.references])

    def pairs(self, name: Hashable, what: str = "hits") -> tuple[Pair, Sequence[Pair]]:
        """``what`` (hits or margins) of a model and its references [k, tau, sample], and the same
        of each of those references held out against the rest."""
        compared = [r for r in self.references if r != name]

        def pair(model: Hashable, others: Sequence[Hashable]) -> Pair:
            counts = self.counts[model]
            values = getattr(counts, what)
            return values[counts.models.index(model)], values[[*map(counts.models.index, others)]]

        def without(i: int) -> Pair:
            return pair(compared[i], compared[:i] + compared[i + 1 :])

        return pair(name, compared), statistics.LeftOut(len(compared), without)

    def judge(self, name: Hashable, *, test: str = JOINT, level: float = 0.05) -> Verdict:
        """The verdict on one model (or on a reference, against the others) by one part alone or at
        another level; see :func:`rurklib.residual.verdict.judge`. If held-out samples were measured
        beside, its note says whether they show the same."""
        if not self.references:
            return without_references(test, level)
        verdict = judge(*self.values(name), test=test, level=level)
        beside, found = self.control_results.get(control.HELD_OUT), (RESIDUAL, OVER)
        if beside and verdict.finding in found:
            their = beside.judge(name, test=verdict.test, level=level)
            own, apart = (part_statistics(*r.values(name)) for r in (self, beside))
            note = control.compared(verdict, their, own, apart)
            verdict = replace(verdict, note=f"{verdict.note} {note}".strip())
        return verdict

    def exchange(self, name: Hashable, *, level: float = 0.05, seed: int = 0) -> Exchange:
        """Whether a model treats the forget samples unlike held-out ones of their classes, which
        needs no reference; see :func:`rurklib.residual.exchange.exchange`. Raises InputError if no
        held-out samples were measured beside."""
        beside = self.control_results.get(control.HELD_OUT)
        if beside is None:
            raise InputError(
                f"no {control.HELD_OUT} samples: measure with "
                f"controls={{{control.HELD_OUT!r}: (x, y)}}, samples that nobody trained on"
            )
        groups = [r.counts[name] for r in (self, beside)]
        shown = [name, *(r for r in self.references if r != name)]
        margins = [c.margins[[c.models.index(n) for n in shown]] for c in groups]
        taus, y, others = groups[0].taus, self._labels, beside._labels
        return exchange(margins[0], margins[1], y, others, taus=taus, level=level, seed=seed)

    @property
    def unlike_held_out(self) -> dict[Any, float]:
        """References that are right, at the first tau, on another share of the forget samples than
        of held-out ones of their classes, and p (:func:`rurklib.residual.flags.unlike`). With
        any, one saw them or the two are of different kinds, and :meth:`exchange` tells nothing."""
        if control.HELD_OUT not in self.control_results or not self.references:
            return {}
        right = {r: self.right_of(r) for r in self.references}
        n, m = next(iter(right.values()))[1::2]
        return unlike({r: (a, b) for r, (a, _, b, _) in right.items()}, (n, m)) if m else {}

    def right_of(self, name: Hashable) -> tuple[int, int, int, int]:
        """On how many forget samples a model is right at the first tau, of how many; and the same
        of held-out samples of their classes."""
        beside = self.control_results[control.HELD_OUT]
        same = np.isin(beside._labels, self._labels)
        a, b = (c.of(name)[0] > c.draws / 2 for c in (self.counts[name], beside.counts[name]))
        return int(a.sum()), len(a), int(b[same].sum()), int(same.sum())

    @property
    def _labels(self) -> np.ndarray:
        n = next(iter(self.counts.values())).hits.shape[-1]
        return np.zeros(n) if self.y is None else self.y

    def values(self, name: Hashable) -> tuple[Any, ...]:
        """Hits, what they are out of, and margins, as judge takes them."""
        return (*self.pairs(name), self.counts[name].draws, *self.pairs(name, "margins"))

    @property
    def verdict(self) -> Verdict | dict[Any, Verdict]:
        """Residual knowledge, none detected or over-forgotten, by the rule at 5 %; one for the
        model, or one for each by name."""
        if self.single:
            return self.judge(self.models[0])
        return {name: self.judge(name) for name in self.models}

    def __repr__(self) -> str:
        """What there is to read: a verdict on each model, and the flags. Numbers: ``frame``."""
        told = [f"{name}: {self.judge(name)}" for name in self.models]
        told += [f"flag, {flag.name}: {flag.message}" for flag in self.flags]
        return "\n".join(textwrap.fill(line, 96) for line in told)  # a notebook breaks in words

    def rows(self, name: Hashable) -> pd.DataFrame:
        """One row per tau for one model, or for one reference held out against the others."""
        own, others = self.hits_of(name)
        counts, draws = self.counts[name], self.counts[name].draws
        if not self.references:
            known = {"tau": counts.taus, "forget_accuracy": statistics.accuracy(own, draws)}
            known["margin"] = counts.margins[counts.models.index(name)].mean(-1)
            return pd.DataFrame(known, columns=list(COLUMNS), dtype=float)
        null, apart = self.null, self.null_difference
        low, high = statistics.ratio_interval(own, others, draws)
        columns = {
            "tau": counts.taus,
            "forget_accuracy": statistics.accuracy(own, draws),
            "reference_accuracy": statistics.accuracy(others, draws),
            "ratio_of_means": statistics.ratio_of_means(own, others),
            "mean_of_ratios": statistics.mean_of_ratios(own, others),
            "undefined_share": statistics.undefined_share(others),
            "null_low": null.min(axis=0),
            "null_high": null.max(axis=0),
            "difference": statistics.difference(own, others, draws),
            "null_difference_low": apart.min(axis=0),
            "null_difference_high": apart.max(axis=0),
            "ratio_low": low,
            "ratio_high": high,
            **statistics.hits_against_null(*self.pairs(name), draws),
            **statistics.margins_against_null(*self.pairs(name, "margins")),
        }
        return pd.DataFrame(columns, columns=list(COLUMNS))

    @property
    def frame(self) -> pd.DataFrame:
        """One row per tau (and model, in a column ``model``, if several were given).

        Accuracies are shares in [0, 1] over samples and draws, of the model and of the mean
        reference; ``difference`` is the one less the other, and defined where no ratio is: if a
        whole class is forgotten. The null columns are NaN with fewer than two references.
        ``ratio_low`` ... ``ratio_high`` is the 95 % interval of the ratio of means
        for this forget set; ``predict_low`` ... ``predict_high`` is where the ratio of a further
        reference would fall with probability 95 %, and ``p_value`` the two-sided p of that
        prediction: all NaN with fewer than three references. ``margin`` is the model's mean logit
        margin, ``margin_difference`` that less the references' mean, in logits, ``margin_sd`` the
        same in standard deviations of the references, and ``margin_predict_low`` ...
        ``margin_predict_high`` the difference's prediction for a further reference.
        """
        frames = [self.rows(m) for m in self.models]
        if not self.single:
            for name, rows in zip(self.models, frames, strict=True):
                rows.insert(0, "model", str(name))
        return pd.concat(frames, ignore_index=True)

    @property
    def controls(self) -> pd.DataFrame:
        """The same rows for each control, named in a column ``control``; no rows if none was given.

        Each control is compared with the references on the control's own samples, and its
        prediction intervals are about a further reference there.
        """
        if not self.control_results:
            return self.frame.head(0).assign(control="")
        frames = {name: result.frame for name, result in self.control_results.items()}
        for name, frame in frames.items():
            frame.insert(0, "control", name)
        return pd.concat(frames.values(), ignore_index=True)
