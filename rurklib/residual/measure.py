"""``residual_knowledge(model, references, x, y, taus=...)``: the measurement, whole.

r_tau = Pr[m(x') = y] / Pr[a(x') = y] (paper, Eq. 4) with m the model in question, a a re-trained
reference and x' a perturbed copy of a forget sample, the same for both. One number means little
without knowing how much two re-trained models differ among themselves, so several references are
asked for: the ratio is taken against their mean, and the *null band* is the range of the same
ratio for each reference held out against the others - what "no residual knowledge" looks like.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor, nn

from rurklib import check
from rurklib.perturb import LAWS
from rurklib.residual import estimates
from rurklib.residual.cache import count_kept
from rurklib.residual.counts import Counts, count_hits
from rurklib.residual.inference import fast

COLUMNS = (
    "tau",
    "forget_accuracy",
    "reference_accuracy",
    "ratio_of_means",
    "mean_of_ratios",
    "undefined_share",
    "null_low",
    "null_high",
)


@dataclass(frozen=True)
class ResidualKnowledge:
    """The counts of a measurement and what follows from them.

    ``counts[name]`` are the counts on the copies made for ``name`` (a model or a reference): the
    same object for all under a random law, one each under a gradient law, where every model is
    probed with the copies found on itself (the paper's protocol).
    """

    counts: Mapping[str, Counts]
    models: tuple[str, ...]
    references: tuple[str, ...]
    single: bool = False

    def ratios(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Hits of ``name`` [tau, sample] and of the references but itself [k, tau, sample]."""
        counts = self.counts[name]
        return counts.of(name), counts.of_all([r for r in self.references if r != name])

    @property
    def null(self) -> np.ndarray:
        """ratio_of_means of each reference held out against the others, [reference, tau]."""
        if len(self.references) < 2:
            taus = next(iter(self.counts.values())).taus
            return np.full((1, len(taus)), np.nan)
        return np.stack([estimates.ratio_of_means(*self.ratios(r)) for r in self.references])

    def rows(self, name: str) -> pd.DataFrame:
        """One row per tau for one model, or for one reference held out against the others."""
        own, others = self.ratios(name)
        counts, null = self.counts[name], self.null
        drawn = counts.drawn[:, None]
        return pd.DataFrame(
            {
                "tau": counts.taus,
                "forget_accuracy": estimates.accuracy(own / drawn, 1),
                "reference_accuracy": estimates.accuracy(others / drawn, 1),
                "ratio_of_means": estimates.ratio_of_means(own, others),
                "mean_of_ratios": estimates.mean_of_ratios(own, others),
                "undefined_share": estimates.undefined_share(others),
                "null_low": null.min(axis=0),
                "null_high": null.max(axis=0),
            },
            columns=list(COLUMNS),
        )

    @property
    def frame(self) -> pd.DataFrame:
        """One row per tau (and model, in a column ``model``, if several were given).

        Accuracies are shares in [0, 1] over samples and draws, of the model and of the mean
        reference; null_low and null_high are NaN with fewer than two references.
        """
        if self.single:
            return self.rows(self.models[0])
        frames = [self.rows(m) for m in self.models]
        for name, frame in zip(self.models, frames, strict=True):
            frame.insert(0, "model", name)
        return pd.concat(frames, ignore_index=True)


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

    Returns an object with integer ``.counts`` and a tidy ``.frame``. Models are left as found.
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
    return ResidualKnowledge(counts, tuple(models), tuple(references), single)
