"""How often each model recognises perturbed copies of each sample: integers, nothing else.

``hits[model, tau, sample]`` out of ``draws`` is all that the ratio needs, and the mean logit
margin from the same forward passes is its continuous companion. Everything slow happens here,
once: each batch of copies is made one time and shown to all models (M + K forward passes a draw
for M models and K references, where a loop over pairs needs 2 M K), in the fast form of
:mod:`rurklib.residual.inference`. What is held in memory at once is a batch or a block of samples,
whatever the number of draws, samples or radii.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor, nn

from rurklib import checks, tensors
from rurklib.perturb import PERTURBATIONS, InPieces, Perturbation
from rurklib.residual.inference import Forward, accelerate, laid_out
from rurklib.tensors import Bounds, evaluating, generator, logit_margin
from rurklib.train import Precision

BLOCK = 256  # samples that share a random stream; fixed: results don't depend on batch_size


@dataclass(frozen=True)
class Measurement:
    """The perturbed copies that residual knowledge is measured on, and how they are counted.

    ``taus``: radii >= 0, in units of the input, any sequence, kept as a tuple of floats.
    ``perturbation``: a name in ``rurklib.perturb.PERTURBATIONS``. ``draws``: copies per sample and
    tau (the paper's c = 100). ``seed`` decides the copies. ``bounds``: the lowest and the highest
    value of an input, or None. ``batch_size``: most samples that a model is shown at once; None:
    what suits it. ``precision``: "float32", or "bfloat16" or "auto", which find the same hits in
    bfloat16 on processors that have it (:mod:`rurklib.residual.inference`); margins are those of
    bfloat16.

    Making one raises InputError for a value that can't be used; nobody checks them again.
    """

    taus: Sequence[float]
    perturbation: str = "gaussian"
    draws: int = 100
    seed: int = 0
    bounds: Bounds = (0.0, 1.0)
    batch_size: int | None = None
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        checks.one_of("perturbation", self.perturbation, PERTURBATIONS)
        object.__setattr__(self, "taus", checks.taus(self.taus))
        checks.count("draws", self.draws)
        checks.count("seed", self.seed, 0)
        checks.limits(self.bounds)
        if self.batch_size is not None:
            checks.count("batch_size", self.batch_size)
        checks.one_of("precision", self.precision, get_args(Precision))

    @property
    def gradient_based(self) -> bool:
        """Whether copies are found on a model, so that which one matters."""
        return PERTURBATIONS[self.perturbation].gradient_based


@dataclass(frozen=True)
class Counts:
    """Hits of several models on the same perturbed copies.

    ``hits`` int64 [model, tau, sample], each 0 ... draws; ``models`` names the first axis and
    ``taus`` the second. ``found_on`` names the model that the search was on (None: there was none).
    ``margins`` float64, shaped like ``hits``: the logit margin of y, mean over draws. ``moved``
    [tau] is the share of copies that differ from their sample: a search without a gradient to
    follow leaves them where they are. ``not_accelerated`` says of each model that couldn't be made
    faster why.
    """

    hits: np.ndarray
    models: tuple[Hashable, ...]
    taus: tuple[float, ...]
    draws: int
    perturbation: str
    seed: int
    margins: np.ndarray
    found_on: Hashable | None = None
    moved: np.ndarray | None = None
    not_accelerated: Mapping[Any, str] = field(default_factory=dict)

    def only(self, models: Sequence[Hashable]) -> Counts:
        """The counts of some of the models, in the order in which they are named."""
        at = [self.models.index(m) for m in models]
        return replace(
            self,
            hits=self.hits[at],
            models=tuple(models),
            margins=self.margins[at],
            not_accelerated={m: why for m, why in self.not_accelerated.items() if m in models},
        )

    @classmethod
    def joined(cls, parts: Sequence[Counts]) -> Counts:
        """Counts of other models on the same copies, side by side."""
        return replace(
            parts[0],
            hits=np.concatenate([p.hits for p in parts]),
            models=tuple(m for p in parts for m in p.models),
            margins=np.concatenate([p.margins for p in parts]),
            not_accelerated={m: why for p in parts for m, why in p.not_accelerated.items()},
        )

    def of(self, model: Hashable) -> np.ndarray:
        """Hits of one model, [tau, sample]."""
        return self.hits[self.models.index(model)]

    def of_all(self, models: Sequence[Hashable]) -> np.ndarray:
        """Hits of several models, [model, tau, sample]."""
        return self.hits[[self.models.index(m) for m in models]]


def count_hits(
    models: Mapping[Any, nn.Module],
    x: Tensor,
    y: Tensor,
    asked: Measurement,
    *,
    found_on: Hashable = None,
    forwards: Mapping[Any, Forward] | None = None,
    progress: Callable[[float], None] | None = None,
) -> Counts:
    """Count, for every model, tau and sample, how many copies are recognised as y.

    All models see the same copies. The stream of draw i is seeded by (seed, i) whatever tau is, so
    a curve over tau uses common random numbers and is smooth. Neither batch_size nor the models
    that are measured together change a copy. ``found_on`` names the model (a key of ``models``)
    that a gradient-based perturbation searches on.
    ``forwards`` are the models' fast forms where they were made before. ``progress`` is told, every
    256 samples, which part of the work is done, 0 to 1.

    Shapes: x [n, ...] inside ``asked.bounds``, y int64 [n] -> hits [model, tau, n].
    """
    rule, taus, draws = PERTURBATIONS[asked.perturbation], asked.taus, asked.draws
    names, n = tuple(models), len(x)
    example, how = tensors.as_float(x[:64]), asked.precision
    fast = forwards or {i: accelerate(m, example, precision=how) for i, m in models.items()}
    forms = [
        replace(f, batch_size=asked.batch_size or f.batch_size) for f in [fast[n] for n in names]
    ]
    source = Forward(next(iter(models.values())), len(example))  # any model: it isn't looked at
    if rule.gradient_based:
        source = accelerate(models[found_on], example, gradients=True)
    hits = np.zeros((len(names), len(taus), n), np.int64)
    margins, moved = np.zeros(hits.shape), np.zeros(len(taus))
    size = max(form.batch_size for form in forms)
    source = replace(source, batch_size=asked.batch_size or source.batch_size)
    with evaluating(*models.values()):
        for t, tau in enumerate(taus):
            # At tau = 0 and without chance in the perturbation, one copy stands for all draws.
            alike = tau == 0 or not rule.random
            made = 1 if alike else draws
            for first in range(0, n, BLOCK):
                block = slice(first, first + BLOCK)
                xb, yb = tensors.as_float(x[block]), y[block]
                seeds = [(asked.seed, first // BLOCK, i) for i in range(made)]
                for copies in _copies(rule, source, xb, yb, tau, seeds, asked.bounds, size):
                    moved[t] += int((copies != xb).flatten(2).any(2).sum())
                    found, margin = _ask(forms, copies, yb)
                    if not np.isfinite(margin).all():
                        name = names[int(np.isfinite(margin).all(1).argmin())]
                        raise checks.InputError(
                            f"{name} answered NaN or infinity on copies at tau = {tau:g}: expected "
                            "finite logits; mend the model, or take smaller taus"
                        )
                    hits[:, t, block] += found
                    margins[:, t, block] += margin
                if progress is not None:
                    progress((t + min(1.0, (first + BLOCK) / n)) / len(taus))
            hits[:, t] *= draws // made
            moved[t] /= n * made
            margins[:, t] /= made
    return Counts(
        hits,
        names,
        tuple(taus),
        draws,
        asked.perturbation,
        asked.seed,
        margins,
        found_on if rule.gradient_based else None,
        moved,
        {name: form.reason for name, form in zip(names, forms, strict=True) if form.reason},
    )


def _copies(
    rule: Perturbation,
    source: Forward,
    x: Tensor,
    y: Tensor,
    tau: float,
    seeds: Sequence[tuple[int, ...]],
    bounds: tensors.Bounds,
    size: int,
) -> Iterator[Tensor]:
    """Copies of a block, one draw for each seed: [draws, n, ...], about ``size`` at a time."""
    if tau == 0:
        yield x[None]
        return
    model = source.call
    assert isinstance(model, nn.Module)
    model, per_batch = InPieces(model, source.batch_size), max(1, size // len(x))
    for at in range(0, len(seeds), per_batch):
        streams = [generator(*s, device=x.device) for s in seeds[at : at + per_batch]]
        copies = rule.sample(model, laid_out(x), y, tau, streams, bounds)
        yield copies.view(len(streams), *x.shape)


def _ask(forms: Sequence[Forward], copies: Tensor, y: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Sums of hits and of margins over draws, [model, n]. copies [draws, n, ...]."""
    flat = laid_out(copies.flatten(0, 1))
    with torch.inference_mode():
        logits = torch.stack([form.of_many(flat) for form in forms])
        logits = logits.view(len(forms), *copies.shape[:2], -1)
        found = logits.argmax(-1) == y
        margins = logit_margin(logits, y).sum(1)
    return found.sum(1).cpu().numpy(), margins.cpu().numpy()
