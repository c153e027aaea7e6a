"""``ResidualKnowledge``: what a measurement returns; every number in it follows from counts."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rurklib.checks import InputError
from rurklib.residual import controls as control
from rurklib.residual import statistics
from rurklib.residual.counts import Counts
from rurklib.residual.exchange import Exchange, exchange
from rurklib.residual.flags import Flag, unlike
from rurklib.residual.verdict import LEVEL, OVER, RESIDUAL, Verdict, judge

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = (
    "tau",
    "forget_accuracy",
    "reference_accuracy",
    "ratio_of_means",
    "mean_of_ratios",
    "undefined_share",
    "null_low",
    "null_high",
    "difference",
    "null_difference_low",
    "null_difference_high",
    "ratio_low",
    "ratio_high",
    "predict_low",
    "predict_high",
    "p_value",
    "margin",
    "margin_difference",
    "margin_predict_low",
    "margin_predict_high",
    "margin_sd",
)
BANDS = [name for name in COLUMNS if name.startswith(("null_", "predict_"))]


@dataclass(frozen=True)
class ResidualKnowledge:
    """The counts of a measurement and what follows from them.

    ``counts`` has every model and reference by name. ``control_results`` holds the same measurement
    of each control, ``flags`` what looks wrong (none: clean), ``y`` the samples' labels [n].
    ``single``: one model was given, and not several by name.
    """

    counts: Counts
    models: tuple[Any, ...]
    references: tuple[Any, ...]
    y: np.ndarray
    single: bool = False
    control_results: Mapping[str, ResidualKnowledge] = field(default_factory=dict)
    flags: Sequence[Flag] = ()

    @property
    def verdict(self) -> Verdict | dict[Any, Verdict]:
        """Residual knowledge, none detected or over-forgotten, by the rule at 5 %; one for the
        model, or one for each by name."""
        if self.single:
            return self.judge(self.models[0])
        return {name: self.judge(name) for name in self.models}

    def judge(self, name: Hashable, *, level: float = LEVEL) -> Verdict:
        """The verdict on one model, or on a reference against the others; see
        :func:`rurklib.residual.verdict.judge`. If held-out samples were measured beside, the note
        of a finding says whether they show the same."""
        verdict = judge(*self.answers(name), self.counts.options.draws, level=level)
        beside = self.control_results.get(control.HELD_OUT)
        if beside is None or verdict.finding not in (RESIDUAL, OVER):
            return verdict
        theirs, draws = beside.judge(name, level=level), self.counts.options.draws
        note = control.compared(verdict, theirs, self.answers(name), beside.answers(name), draws)
        return replace(verdict, note=note)

    def exchange(self, name: Hashable, *, level: float = LEVEL, seed: int = 0) -> Exchange:
        """Whether a model treats the forget samples unlike held-out ones of their classes, which
        needs no reference; see :func:`rurklib.residual.exchange.exchange`. Raises InputError if no
        held-out samples were measured beside."""
        beside = self.control_results.get(control.HELD_OUT)
        if beside is None:
            raise InputError(
                f"no {control.HELD_OUT} samples: measure with "
                f"controls={{{control.HELD_OUT!r}: (x, y)}}, samples that nobody trained on"
            )
        names = [name, *self._others(name)]
        own, theirs = (np.stack([r.counts.margins[n] for n in names]) for r in (self, beside))
        taus = self.counts.options.taus
        return exchange(own, theirs, self.y, beside.y, taus=taus, level=level, seed=seed)

    def hits_of(self, name: Hashable) -> tuple[np.ndarray, np.ndarray]:
        """Hits of a model [tau, sample] and of the references [k, tau, sample] on the copies made
        for that model (Eq. 4); of a reference and the others, each on its own copies."""
        hits = self.counts.on.get(name, self.counts.hits)
        return self.counts.hits[name], self._stack(hits, self._others(name))

    def answers(self, name: Hashable) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Hits and margins of a model, and of the references but itself, each on its own copies."""
        hits, margins, others = self.counts.hits, self.counts.margins, self._others(name)
        references = self._stack(hits, others), self._stack(margins, others)
        return hits[name], margins[name], *references

    def _others(self, name: Hashable) -> list[Any]:
        return [r for r in self.references if r != name]

    def _stack(self, arrays: Mapping[Any, np.ndarray], names: Sequence[Any]) -> np.ndarray:
        shape = len(self.counts.options.taus), len(self.y)
        return np.array([arrays[n] for n in names]).reshape(len(names), *shape)

    @property
    def unlike_held_out(self) -> dict[Any, float]:
        """References that are right, at the first tau, on another share of the forget samples than
        of held-out ones of their classes, and p (:func:`rurklib.residual.flags.unlike`). With
        any, one saw them or the two are of different kinds, and :meth:`exchange` tells nothing."""
        if control.HELD_OUT not in self.control_results:
            return {}
        return unlike({r: self.right_of(r) for r in self.references})

    def right_of(self, name: Hashable) -> tuple[int, int, int, int]:
        """On how many forget samples a model is right at the first tau, of how many; and the same
        of held-out samples of their classes."""
        beside = self.control_results[control.HELD_OUT]
        same = np.isin(beside.y, self.y)
        draws = self.counts.options.draws
        a, b = (r.counts.hits[name][0] > draws / 2 for r in (self, beside))
        return int(a.sum()), len(a), int(b[same].sum()), int(same.sum())

    def __repr__(self) -> str:
        """What there is to read: a verdict on each model, and the flags. Numbers: ``frame``."""
        text = [f"{name}: {self.judge(name).text}" for name in self.models]
        text += [f"flag, {flag}" for flag in self.flags]
        lines = [textwrap.fill(line, 96, break_on_hyphens=False) for line in text]
        return "\n".join(lines)  # a notebook breaks in words

    @property
    def null(self) -> np.ndarray:
        """ratio_of_means of each reference held out against the others, [reference, tau], every
        model on its own copies."""
        return self._null(statistics.ratio_of_means)

    def _null(self, estimate: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
        if len(self.references) < 2:
            return np.full((1, len(self.counts.options.taus)), np.nan)
        answers = map(self.answers, self.references)  # one at a time: each holds all the others
        return np.stack([estimate(hits, others) for hits, _, others, _ in answers])

    def rows(self, name: Hashable) -> pd.DataFrame:
        """One row per tau for one model, or for one reference held out against the others."""
        import pandas as pd

        options = self.counts.options
        draws, k = options.draws, len(self._others(name))
        own, others = self.hits_of(name)
        hits, margins, reference_hits, reference_margins = self.answers(name)
        columns = {
            "tau": options.taus,
            "forget_accuracy": statistics.accuracy(own, draws),
            "margin": margins.mean(-1),
        }
        if not k:
            return pd.DataFrame(columns, columns=list(COLUMNS), dtype=float)
        low, high = statistics.ratio_interval(own, others, draws)
        null = self.null
        apart = self._null(lambda a, b: statistics.difference(a, b, draws))
        odds = statistics.log_odds(reference_hits, draws)
        least = statistics.least_spread(reference_hits, draws)
        share = statistics.accuracy(reference_hits, draws)
        predicted = [
            statistics.divide(statistics.accuracy_of(limit, len(self.y)), share)
            for limit in statistics.predict(odds, least)
        ]
        means = reference_margins.mean(-1)  # [k, tau]
        margin_difference = margins.mean(-1) - means.mean(0)
        margin_predicted = [limit - means.mean(0) for limit in statistics.predict(means)]
        columns |= {
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
            "predict_low": predicted[0],
            "predict_high": predicted[1],
            "p_value": statistics.p_value(statistics.log_odds(hits, draws), odds, least),
            "margin_difference": margin_difference,
            "margin_predict_low": margin_predicted[0],
            "margin_predict_high": margin_predicted[1],
            "margin_sd": margin_difference / (statistics.spread(means) / np.sqrt(1 + 1 / k)),
        }
        if options.gradient_based:  # Eq. 4 is about other copies than the bands are
            columns |= dict.fromkeys(BANDS, np.nan)
        return pd.DataFrame(columns, columns=list(COLUMNS))

    @property
    def frame(self) -> pd.DataFrame:
        """One row per tau (and model, in a column ``model``, if several were given).

        Accuracies are shares in [0, 1] over samples and draws, of the model and of the mean
        reference; ``difference`` is the one less the other, and defined where no ratio is: if a
        whole class is forgotten. The null columns are NaN with fewer than two references.
        ``ratio_low`` ... ``ratio_high`` is the 95 % interval of the ratio of means for this forget
        set; ``predict_low`` ... ``predict_high`` is where the ratio of a new re-trained model would
        fall with probability 95 %, and ``p_value`` the two-sided p of that prediction: all NaN with
        fewer than three references. ``margin`` is the model's mean logit margin,
        ``margin_difference`` that less the references' mean, in logits, ``margin_sd`` the same in
        standard deviations of the references, and ``margin_predict_low`` ...
        ``margin_predict_high`` the difference's prediction for a new re-trained model.

        Under a gradient-based perturbation accuracies and ratios are on the copies found on the
        model in question (Eq. 4), and there is no band to hold them against (NaN). p and margins
        compare each model on its own copies, as the verdict does.
        """
        import pandas as pd

        frames = [self.rows(m) for m in self.models]
        if not self.single:
            for name, rows in zip(self.models, frames, strict=True):
                rows.insert(0, "model", str(name))
        return pd.concat(frames, ignore_index=True)

    @property
    def controls(self) -> pd.DataFrame:
        """The same rows for each control, named in a column ``control``; no rows if none was given.

        Each control is compared with the references on the control's own samples, and its
        prediction intervals are about a new re-trained model there.
        """
        import pandas as pd

        if not self.control_results:
            return self.frame.head(0).assign(control="")
        frames = {name: result.frame for name, result in self.control_results.items()}
        for name, frame in frames.items():
            frame.insert(0, "control", name)
        return pd.concat(frames.values(), ignore_index=True)
