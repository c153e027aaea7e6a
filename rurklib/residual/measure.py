"""``residual_knowledge(model, references, x, y, taus=...)``: the measurement, whole.

r_tau = Pr[m(x') = y] / Pr[a(x') = y] (paper, Eq. 4) with m the model in question, a a re-trained
reference and x' a perturbed copy of a forget sample, the same for both. One number means little
without knowing how much two re-trained models differ among themselves, so several references are
asked for: the ratio is taken against their mean, and the *null band* says what "no residual
knowledge" looks like: the range of the same ratio for each reference held out against the others,
and where a further reference would fall. ``.verdict`` sums the curve up. README.md in this folder
has the statistics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor, nn

from rurklib import check
from rurklib.perturb import LAWS
from rurklib.residual import estimates, uncertainty
from rurklib.residual.cache import count_kept
from rurklib.residual.counts import Counts, count_hits
from rurklib.residual.inference import fast
from rurklib.residual.uncertainty import ESTIMANDS, Draws, Pair
from rurklib.residual.verdict import Verdict, judge

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
    "prevalence",
    "median_ratio",
    "predict_low",
    "predict_high",
    "p_value",
    "margin",
    "margin_difference",
    "margin_predict_low",
    "margin_predict_high",
    "margin_sd",
)


@dataclass(frozen=True)
class ResidualKnowledge:
    """The counts of a measurement and what follows from them.

    ``counts[name]`` are the counts on the copies made for ``name`` (a model or a reference): the
    same object for all under a random law, one each under a gradient law, where every model is
    probed with the copies found on itself (the paper's protocol). ``estimand`` names what the
    intervals ``ratio_low`` ... ``ratio_high`` hold for: a name in ``uncertainty.ESTIMANDS``.
    """

    counts: Mapping[str, Counts]
    models: tuple[str, ...]
    references: tuple[str, ...]
    single: bool = False
    estimand: str = ESTIMANDS[0]

    def ratios(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Hits of ``name`` [tau, sample] and of the references but itself [k, tau, sample]."""
        counts = self.counts[name]
        return counts.of(name), counts.of_all([r for r in self.references if r != name])

    @property
    def null(self) -> np.ndarray:
        """ratio_of_means of each reference held out against the others, [reference, tau]."""
        return self._null(lambda own, others, _: estimates.ratio_of_means(own, others))

    @property
    def null_difference(self) -> np.ndarray:
        """difference of each reference held out against the others, [reference, tau]."""
        return self._null(estimates.difference)

    def _null(self, estimate: Callable[[np.ndarray, np.ndarray, Draws], np.ndarray]) -> np.ndarray:
        first = next(iter(self.counts.values()))
        if len(self.references) < 2:
            return np.full((1, len(first.taus)), np.nan)
        return np.stack([estimate(*self.ratios(r), self.counts[r].drawn) for r in self.references])

    def pairs(self, name: str, what: str = "hits") -> tuple[Pair, list[Pair]]:
        """``what`` (hits or margins) of a model and its references [k, tau, sample], and the same
        of each of those references held out against the rest of them."""
        compared = [r for r in self.references if r != name]

        def pair(model: str, others: Sequence[str]) -> Pair:
            counts = self.counts[model]
            values = getattr(counts, what)
            rows = [counts.models.index(r) for r in others]
            return values[counts.models.index(model)], values[rows]

        held_out = [pair(r, [o for o in compared if o != r]) for r in compared]
        return pair(name, compared), held_out

    def judge(self, name: str, *, test: str | None = None, level: float = 0.05) -> Verdict:
        """The verdict on one model (or on a reference, against the others) by another test or at
        another level; see :func:`rurklib.residual.verdict.judge`."""
        margins = self.pairs(name, "margins") if self._has_margins(name) else (None, ())
        draws, hits = self.counts[name].drawn, self.pairs(name)
        return judge(*hits, draws, *margins, test=test, level=level, estimand=self.estimand)

    @property
    def verdict(self) -> Verdict | dict[str, Verdict]:
        """Residual knowledge, none detected or over-forgotten, by the margin test at 5 % (the hit
        test, if only hits were kept): one for the model, or one for each by name."""
        if self.single:
            return self.judge(self.models[0])
        return {name: self.judge(name) for name in self.models}

    def _has_margins(self, name: str) -> bool:
        shown = {name, *self.references}
        return all(self.counts[n].margins is not None for n in shown)

    def rows(self, name: str) -> pd.DataFrame:
        """One row per tau for one model, or for one reference held out against the others."""
        own, others = self.ratios(name)
        counts, null, apart = self.counts[name], self.null, self.null_difference
        draws = counts.drawn
        low, high = uncertainty.ratio_interval(own, others, draws, estimand=self.estimand)
        columns = {
            "tau": counts.taus,
            "forget_accuracy": estimates.accuracy(own, draws),
            "reference_accuracy": estimates.accuracy(others, draws),
            "ratio_of_means": estimates.ratio_of_means(own, others),
            "mean_of_ratios": estimates.mean_of_ratios(own, others),
            "undefined_share": estimates.undefined_share(others),
            "null_low": null.min(axis=0),
            "null_high": null.max(axis=0),
            "difference": estimates.difference(own, others, draws),
            "null_difference_low": apart.min(axis=0),
            "null_difference_high": apart.max(axis=0),
            "ratio_low": low,
            "ratio_high": high,
            "prevalence": estimates.prevalence(own, others),
            "median_ratio": estimates.median_ratio(own, others),
            **uncertainty.hits_against_null(*self.pairs(name), draws),
        }
        if self._has_margins(name):
            columns |= uncertainty.margins_against_null(*self.pairs(name, "margins"))
        return pd.DataFrame(columns, columns=list(COLUMNS))

    @property
    def frame(self) -> pd.DataFrame:
        """One row per tau (and model, in a column ``model``, if several were given).

        Accuracies are shares in [0, 1] over samples and draws, of the model and of the mean
        reference; ``difference`` is the one less the other, and defined where no ratio is: if a
        whole class is forgotten. The null columns are NaN with fewer than two references.
        ``ratio_low`` ... ``ratio_high`` is the 95 % interval of the ratio of means
        under ``estimand`` (also in ``frame.attrs``); ``predict_low`` ... ``predict_high`` is where
        the ratio of a further reference would fall with probability 95 %, and ``p_value`` the
        two-sided p of that prediction: all NaN with fewer than three references. ``margin`` is the
        model's mean logit margin, ``margin_difference`` that less the references' mean, in logits,
        ``margin_sd`` the same in standard deviations of the references, and
        ``margin_predict_low`` ... ``margin_predict_high`` the difference's prediction for a further
        reference; NaN if only hits were kept.
        """
        frames = [self.rows(m) for m in self.models]
        if not self.single:
            for name, rows in zip(self.models, frames, strict=True):
                rows.insert(0, "model", name)
        frame = pd.concat(frames, ignore_index=True)
        frame.attrs["estimand"] = self.estimand
        return frame


def residual_knowledge(
    model: nn.Module | Mapping[str, nn.Module],
    references: Sequence[nn.Module] | Mapping[str, nn.Module],
    x: Tensor,
    y: Tensor,
    *,
    taus: Sequence[float],
    perturbation: str = "gaussian",
    draws: int = 100,
    seed: int = 0,
    found_on: str | nn.Module | None = None,
    bounds: check.Bounds = (0.0, 1.0),
    batch_size: int | None = None,
    tolerance: float | None = None,
    cache: str | Path | None = None,
    estimand: str = ESTIMANDS[0],
) -> ResidualKnowledge:
    """Measure residual knowledge of ``model`` about the forget samples (x, y).

    Args:
        model: the unlearned model, or several by name, all measured on the same copies.
        references: models re-trained without the forget samples (different seeds); six or more
            make the null band useful, one gives no band.
        x: forget samples [n, ...], uint8 or float inside ``bounds``; the models take floats.
        y: their labels, int64 [n].
        taus: radii, in units of the input (0.03 of [0, 1] is about 8 of 255 grey levels).
        perturbation: a name in ``rurklib.perturb.LAWS``, e.g. gaussian, uniform-l2, fgsm, pgd.
        draws: copies per sample and tau (the paper's c = 100).
        seed: decides the copies.
        found_on: the model that a gradient law searches on. None: each model is judged on copies
            found on itself (the paper's protocol). A name among the models or references, or a
            model passed in, makes it a transfer: all are judged on the copies found there. A
            reference that is searched on is not counted among the references then, for its copies
            are made for it. Random laws look at no model.
        batch_size: most samples that a model is shown at once; None: what suits it.
        tolerance: stop drawing at a radius when the 95 % Monte Carlo interval of every ratio is
            within +- tolerance (:mod:`rurklib.residual.adaptive`); ``draws`` are then the most.
        cache: a folder in which the references' counts are kept, and found again by whatever
            measurement asks for the same; None: nowhere.
        estimand: what the ratio's interval is for: "this forget set" (random are the copies and
            the re-training) or "forget sets like it" (the samples too).

    Returns an object with integer ``.counts``, a tidy ``.frame`` and a ``.verdict`` (one, or one by
    name; ``print`` it). Models are left as found.
    Raises InputError, before anything is measured, for inputs or models that can't be used.

    >>> import torch, rurklib
    >>> from torch import nn
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
    >>> x, y = torch.rand(5, 1, 2, 2), torch.tensor([0, 1, 2, 0, 1])
    >>> result = rurklib.residual_knowledge(net, [net, net], x, y, taus=[0.0, 0.1], draws=10)
    >>> bool((result.frame.ratio_of_means.dropna() == 1).all())  # a model against itself
    True
    """
    single = isinstance(model, nn.Module)
    models = {"model": model} if isinstance(model, nn.Module) else model
    if isinstance(references, nn.Module):
        raise check.InputError("references is one model: expected a list of them, e.g. [model]")
    if not isinstance(references, Mapping):
        references = {f"reference-{k}": r for k, r in enumerate(references)}
    if not isinstance(models, Mapping) or not models:
        raise check.InputError("model: expected a torch.nn.Module or a mapping of names to models")
    if not references:
        raise check.InputError("references is empty: expected at least one re-trained model")
    if both := set(models) & set(references):
        raise check.InputError(f"names used for a model and a reference: {sorted(both)}")
    law = LAWS[check.one_of("perturbation", perturbation, LAWS)]
    radii = check.taus(taus)
    check.count("draws", draws)
    check.count("seed", seed, 0)
    if batch_size is not None:
        check.count("batch_size", batch_size)
    if tolerance is not None:
        check.number("tolerance", tolerance, 0.0)
        if cache is not None:
            raise check.InputError(
                "tolerance and cache: where drawing stops depends on all models at once, so counts "
                "can't be kept; give one of them"
            )
    check.one_of("estimand", estimand, ESTIMANDS)
    check.inputs(x, bounds)
    check.labels(y, len(x))
    sizes = {n: check.logits(m, x, y, n) for n, m in {**models, **references}.items()}
    if len(set(sizes.values())) > 1:
        raise check.InputError(f"models differ in their number of classes: {sizes}")
    everyone = {**models, **references}
    searched = found_on if isinstance(found_on, nn.Module) else None
    if searched is not None:
        check.logits(searched, x, y, "found_on")
    elif found_on is not None:
        searched = everyone[check.one_of("found_on", found_on, everyone)]
        if law.uses_model:  # its copies are made for it: not a reference like the others
            references = {n: r for n, r in references.items() if n != found_on}
        if not references:
            raise check.InputError(
                f"found_on = {found_on!r} is the only reference: give another to compare with"
            )

    options: dict[str, Any] = {
        "taus": radii,
        "perturbation": perturbation,
        "draws": draws,
        "seed": seed,
        "bounds": bounds,
        "batch_size": batch_size,
    }
    folder = None if cache is None else Path(cache)

    def count(shown: Mapping[str, nn.Module], kept: Sequence[str], **more: Any) -> Counts:
        if folder is not None:
            return count_kept(folder, kept, shown, x, y, **options, **more)
        return count_hits(shown, x, y, tolerance=tolerance, references=known, **options, **more)

    known, counts = tuple(references), {}
    if law.uses_model and searched is None:
        example = check.as_float(x[:64])
        forwards = {name: fast(net, example) for name, net in everyone.items()}
        for name in everyone:
            shown = {**({name: models[name]} if name in models else {}), **references}
            # Copies found on a model are no use to the next model: only the references' are kept.
            kept = known if name in known else ()
            counts[name] = count(shown, kept, found_on=name, forwards=forwards)
    else:
        shared = count({**models, **references}, known, found_on=searched)
        if law.uses_model and isinstance(found_on, str):
            shared = replace(shared, found_on=found_on)
        counts = dict.fromkeys((*models, *references), shared)
    return ResidualKnowledge(counts, tuple(models), tuple(references), single, estimand)
