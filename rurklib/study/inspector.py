"""One forget sample and a perturbed copy of it, as every model of a run sees them.

Copies are the measurement's own: draw i of a sample is the i-th copy that
:func:`rurklib.residual.count` made of it (the same stream, drawn for the same block of samples), so
what is seen here is what was counted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from rurklib import checks, tensors
from rurklib.perturb import BALLS, PERTURBATIONS, SEARCHES, pgd, random_start
from rurklib.residual import statistics
from rurklib.residual.counts import BLOCK
from rurklib.residual.inference import accelerate, laid_out
from rurklib.study.measurement import residual
from rurklib.study.models import load_models
from rurklib.study.run import ModelId, Run
from rurklib.tensors import generator

TITLE = "Perturbation inspector"
NORMS, AIMS = ("L-inf", "L2", "L1"), ("towards y", "away from y")
KINDS = ("Gaussian", "uniform", "FGSM", "PGD")
STEPS = 10  # of PGD, as a measurement takes them
SEED = 0  # of the study's counts


def perturbation_named(kind: str, norm: str = NORMS[0], aim: str = AIMS[0]) -> str:
    """The name in ``PERTURBATIONS`` of a kind, norm and aim; what a kind hasn't is not looked at.

    >>> perturbation_named("PGD", "L2", "away from y")
    'pgd-l2-untargeted'
    """
    parts = [kind.lower()]
    if kind == "uniform" or (kind == "PGD" and norm != NORMS[0]):
        parts.append(norm.lower().replace("-", ""))
    if kind in ("FGSM", "PGD") and aim == AIMS[1]:
        parts.append("untargeted")
    return "-".join(parts)


def radius(perturbation: str, tau: float, pixels: int) -> float:
    """The radius of about as much change as ``tau`` in each of so many numbers: the L2 norm of such
    a change is sqrt(pixels) times tau, the L1 norm pixels times."""
    p = {**BALLS, **SEARCHES}.get(perturbation.removesuffix("-untargeted"))
    return tau * (pixels if p == 1 else math.sqrt(pixels) if p == 2 else 1.0)


@dataclass(frozen=True)
class View:
    """A sample, a copy of it and what the models make of the copy.

    ``image`` and ``copy`` [c, h, w] in the input's units; ``probabilities`` [model, class] and
    ``answers`` [model] are about the copy; ``truth`` is the class y. ``models`` names the first
    axis: Original, the references, then the unlearned models. ``found_on`` is
    "" for a perturbation that looks at no model.
    """

    sample: int
    perturbation: str
    tau: float
    draw: int
    found_on: str
    steps: int
    truth: int
    image: np.ndarray
    copy: np.ndarray
    models: tuple[str, ...]
    references: tuple[str, ...]
    probabilities: np.ndarray
    answers: np.ndarray

    @property
    def difference(self) -> np.ndarray:
        """Copy less image, [c, h, w]."""
        return self.copy - self.image

    @property
    def distances(self) -> dict[str, float]:
        """How far the copy is from the image, in three norms."""
        d = np.abs(self.difference.astype(np.float64).ravel())
        return {"L-inf": float(d.max()), "L2": float(np.sqrt((d**2).sum())), "L1": float(d.sum())}

    @property
    def recognised(self) -> np.ndarray:
        """Whether each model says y, bool [model]."""
        return self.answers == self.truth

    @property
    def names(self) -> tuple[str, ...]:
        """Rows of a picture: the first model, the re-trained together, each unlearned model."""
        rows = ("Re-train" if m in self.references else m for m in self.models)
        return tuple(dict.fromkeys(rows))

    def row(self, name: str) -> np.ndarray:
        """Probabilities of the models of a row, [1 or references, class]."""
        wanted = self.references if name == "Re-train" else (name,)
        return self.probabilities[[self.models.index(m) for m in wanted]]


def seed_of(run: Run, seed: int | None) -> int:
    """The experiment seed asked for (None: the run's first); InputError if the run hasn't it."""
    if seed is not None and seed not in run.seeds:
        raise checks.InputError(f"seed = {seed}: this run has {', '.join(map(str, run.seeds))}")
    return run.seeds[0] if seed is None else seed


class Inspector:
    """The models of a finished run for one experiment seed, and its forget samples.

    ``models`` maps "Original", "Re-train 1000", ... and the methods to nets, loaded once.
    """

    def __init__(self, run: Run, seed: int | None = None) -> None:
        self.seed = seed_of(run, seed)
        self.run = replace(run, seeds=(self.seed,))  # of the others nothing is counted
        self.x, self.y = run.pair("forget")
        self.classes = run.data.classes
        again = {f"Re-train {n.seed}": n for n in run.names("Re-train")}
        self.ids = {"Original": ModelId("Original", self.seed), **again}
        self.ids |= {method: ModelId(method, self.seed) for method in run.scenario.methods}
        self.references, nets = tuple(again), load_models(run, list(self.ids.values()))
        self.models: dict[str, nn.Module] = {name: nets[n] for name, n in self.ids.items()}
        self._example = tensors.as_float(self.x[:64])
        self.forwards = {n: accelerate(m, self._example) for n, m in self.models.items()}
        self._searched: dict[str, Any] = {}  # modules

    @cached_property
    def hits(self) -> tuple[np.ndarray, np.ndarray]:
        """The study's hits under its first perturbation, all radii above 0 together, from its
        counts: Original's [sample], the references' [k, sample]."""
        measured = residual(self.run, self.run.scenario.perturbations[0], methods=["Original"])
        hits, others = measured.hits_of(self.ids["Original"])
        taus = np.array(self.run.scenario.taus)
        above = taus > 0 if (taus > 0).any() else taus == 0
        return hits[above].sum(0), others[:, above].sum(1)

    @cached_property
    def ratios(self) -> np.ndarray:
        """Residual knowledge of each sample under Original, [sample]; NaN where no reference ever
        recognises a copy."""
        return statistics.per_sample(*self.hits)

    @cached_property
    def order(self) -> np.ndarray:
        """Samples by falling residual knowledge of Original, int [sample].

        One that it recognises and no reference ever does has no ratio and comes first; one
        that nobody recognises tells nothing and comes last.
        """
        hits, _ = self.hits
        key = np.where(np.isnan(self.ratios), np.where(hits > 0, np.inf, -np.inf), self.ratios)
        return np.argsort(-key, kind="stable")

    def copies(
        self,
        sample: int,
        perturbation: str,
        tau: float,
        draws: Sequence[int],
        found_on: str,
        steps: int,
    ) -> Tensor:
        """The copies of a sample that a measurement makes in these draws, [draw, ...]."""
        rule = PERTURBATIONS[checks.one_of("perturbation", perturbation, PERTURBATIONS)]
        checks.count("steps", steps)
        checks.count("sample", sample, 0)
        if sample >= len(self.x):
            raise checks.InputError(f"sample = {sample}: there are {len(self.x)} forget samples")
        first, at = sample // BLOCK * BLOCK, sample % BLOCK
        xs, ys = tensors.as_float(self.x[first : first + BLOCK]), self.y[first : first + BLOCK]
        x, y, bounds = xs[at : at + 1], ys[at : at + 1], self.run.data.bounds
        rule.check(x, tau, bounds)
        many = (len(draws), *[1] * (x.ndim - 1))
        if tau == 0:
            return x.repeat(many)
        streams = [generator(SEED, sample // BLOCK, i, device=x.device) for i in draws]
        if not rule.gradient_based:
            model = self.models["Original"]  # not looked at
            blocks = rule.sample(model, xs, ys, tau, streams, bounds)
            return blocks.view(len(streams), *xs.shape)[:, at]
        model, name = self._search_on(found_on), perturbation.removesuffix("-untargeted")
        p, targeted = SEARCHES.get(name), name == perturbation
        if p is None:  # one step, whose number can't be chosen
            return rule.sample(model, laid_out(x), y, tau, streams, bounds)
        starts = torch.cat([random_start(xs, tau, p, g, bounds)[at : at + 1] for g in streams])
        xs, ys, start = laid_out(x.repeat(many)), y.repeat(len(draws)), laid_out(starts)
        return pgd(
            model, xs, ys, tau, p, start=start, steps=steps, targeted=targeted, bounds=bounds
        )

    def _search_on(self, name: str) -> nn.Module:
        """The form of a model that gradients are taken of, made once."""
        model = self.models[checks.one_of("found_on", name, self.models)]
        if name not in self._searched:
            self._searched[name] = accelerate(model, self._example, gradients=True).call
        return self._searched[name]

    def logits(self, copies: Tensor, names: Sequence[str]) -> Tensor:
        """Logits of some models on the same copies, [model, copy, class]."""
        copies = laid_out(copies)
        with torch.inference_mode():
            return torch.stack([self.forwards[name].of_many(copies) for name in names])

    def view(
        self,
        sample: int,
        perturbation: str = "gaussian",
        tau: float = 0.0,
        draw: int = 0,
        found_on: str = "Original",
        steps: int = STEPS,
    ) -> View:
        """What there is to see of one copy. ``draw`` i is the copy of the measurement's draw i;
        ``found_on`` (a name in ``models``) and ``steps`` matter to gradients only."""
        checks.count("draw", draw, 0)
        copy = self.copies(sample, perturbation, tau, [draw], found_on, steps)
        logits = self.logits(copy, tuple(self.models))[:, 0]
        return View(
            sample,
            perturbation,
            float(tau),
            draw,
            found_on if PERTURBATIONS[perturbation].gradient_based else "",
            steps,
            int(self.y[sample]),
            tensors.as_float(self.x[sample]).cpu().numpy(),
            copy[0].cpu().numpy(),
            tuple(self.models),
            self.references,
            logits.softmax(-1).cpu().numpy(),
            logits.argmax(-1).cpu().numpy(),
        )

    def others(self, perturbation: str, found_on: str, model: str) -> tuple[str, ...]:
        """The references that a model is compared with: not itself, and not one that copies were
        found on, for they are made for it."""
        out = {model, found_on if PERTURBATIONS[perturbation].gradient_based else ""}
        return tuple(r for r in self.references if r not in out)


def row_of(view: View, classes: Sequence[str]) -> dict[str, Any]:
    """What was looked at, how far the copy is, and each model's probability of y and answer.

    Re-train's are the mean, least and largest probability, and how many of the references say y.
    """
    y = view.truth
    facts = {"sample": view.sample, "class": classes[y], "law": view.perturbation}
    facts |= {name: getattr(view, name) for name in ("tau", "draw", "found_on", "steps")}
    facts |= {name.lower().replace("-", ""): v for name, v in view.distances.items()}
    again = view.row("Re-train")[:, y]
    facts |= {"retrain_mean": again.mean(), "retrain_low": again.min(), "retrain_high": again.max()}
    said = dict(zip(view.models, view.answers, strict=True))
    facts["retrain_recognise"] = sum(bool(said[r] == y) for r in view.references)
    facts["references"] = len(view.references)
    for name in view.names:
        if name != "Re-train":
            facts[f"{name}_probability"] = view.row(name)[0, y]
            facts[f"{name}_says"] = classes[said[name]]
    return {k: v.item() if hasattr(v, "item") else v for k, v in facts.items()}


# --- draw by draw ---------------------------------------------------------------------------------


def running(
    inspector: Inspector,
    sample: int,
    perturbation: str,
    tau: float,
    *,
    model: str = "Original",
    found_on: str = "Original",
    steps: int = STEPS,
) -> pd.DataFrame:
    """One sample's residual knowledge after each draw of the study, a row for each: draws, hits of
    the model, reference_hits (of the mean reference), ratio, low, high (:func:`ratio_so_far`).

    Draw i is the measurement's draw i, so after all of them the hits are those of its counts.
    """
    checks.one_of("model", model, inspector.models)
    names = (model, *inspector.others(perturbation, found_on, model))
    certain = tau == 0 or not PERTURBATIONS[perturbation].random
    draws = range(1 if certain else inspector.run.scenario.draws)
    copies = inspector.copies(sample, perturbation, tau, draws, found_on, steps)
    answers = inspector.logits(copies, names).argmax(-1)
    right = (answers == inspector.y[sample]).cpu().numpy()
    hits, reference_hits = right[0].cumsum(), right[1:].mean(0).cumsum()
    ratio, low, high = ratio_so_far(right[0], right[1:])
    columns = {"draws": np.arange(1, len(hits) + 1), "hits": hits, "reference_hits": reference_hits}
    frame = pd.DataFrame({**columns, "ratio": ratio, "low": low, "high": high})
    return frame.assign(low=frame.ratio, high=frame.ratio) if certain else frame


def ratio_so_far(model: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, ...]:
    """Hits of a model, bool [draw], over the mean hits of others, bool [k, draw], after each draw,
    and the ratio's 95 % interval, [draw] each; NaN where no other model has recognised a copy yet.

    The interval is over copies: it shrinks to nothing, and says nothing about models of other
    seeds. It is that of the logarithm of two independent shares, each with two hits and two misses
    added (Agresti and Coull 1998), so that a few draws make nothing certain. All models see the
    same copies, and a mean of models varies less than one: it is wider than it need be.
    """
    draws = np.arange(1, len(model) + 1)
    hits = np.stack([model.cumsum(), others.mean(0).cumsum()])
    share = (hits + 2) / (draws + 4)
    spread = np.exp(1.96 * np.sqrt(((1 - share) / (share * (draws + 4))).sum(0)))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(hits[1] > 0, hits[0] / hits[1], np.nan)
    middle = share[0] / share[1]
    return ratio, np.minimum(ratio, middle / spread), np.maximum(ratio, middle * spread)
