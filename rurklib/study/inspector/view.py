"""One forget sample and one perturbed copy of it, as every model of a run sees them.

The copies are the measurement's own: draw i of a sample is the i-th copy that
:func:`rurklib.residual.count` made of it (the same stream, drawn for the same block of
samples), so what is seen here is what was counted.

Perturbations are chosen by the words of a panel: kind, norm and aim. A view is kept in a run's
``inspect/``: its pictures as one PNG, its numbers as a row of a CSV.
"""

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from torch import Tensor, nn

from rurklib import checks, tensors
from rurklib.perturb import BALLS, PERTURBATIONS, SEARCHES, pgd, random_start
from rurklib.residual import statistics
from rurklib.residual.counts import BLOCK
from rurklib.residual.inference import accelerate, laid_out
from rurklib.residual.result import ResidualKnowledge
from rurklib.study import store
from rurklib.study.measurement import residual
from rurklib.study.models import load_models
from rurklib.study.run import ModelId, Run
from rurklib.tensors import generator

TITLE = "Perturbation inspector"
NORMS, AIMS = ("L-inf", "L2", "L1"), ("towards y", "away from y")
# Each kind with the norms that it is offered in. Gaussian noise has no ball: tau is its sd.
KINDS = {"Gaussian": (), "uniform": NORMS, "FGSM": NORMS[:1], "PGD": NORMS}
STEPS = 10  # of PGD, as a measurement takes them


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


def reach(perturbation: str, taus: Sequence[float], pixels: int) -> float:
    """The largest tau to offer: twice the largest that was studied, as a size of each pixel.

    The L2 norm of a change of that size in each of d numbers is sqrt(d) times it, the L1 norm d
    times: with these, a tau at half of its reach means about the same amount of change in any norm.
    """
    checks.one_of("perturbation", perturbation, PERTURBATIONS)
    p = {**BALLS, **SEARCHES}.get(perturbation.removesuffix("-untargeted"))
    return 2 * max(taus) * (pixels if p == 1 else math.sqrt(pixels) if p == 2 else 1.0)


SEED = 0  # of the study's counts


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
    def _known(self) -> tuple[np.ndarray, np.ndarray]:
        return self.hits("Original")

    @cached_property
    def ratios(self) -> np.ndarray:
        """Residual knowledge of each sample under Original, [sample].

        Hits are summed over the radii above 0, under the run's first perturbation. NaN where no
        reference ever recognises a copy.
        """
        return statistics.per_sample(*self._known)

    @cached_property
    def order(self) -> np.ndarray:
        """Samples by falling residual knowledge of Original, int [sample].

        One that it recognises and no reference ever does has no ratio and comes first; one
        that nobody recognises tells nothing and comes last.
        """
        own, _ = self._known
        key = np.where(np.isnan(self.ratios), np.where(own > 0, np.inf, -np.inf), self.ratios)
        return np.argsort(-key, kind="stable")

    @cached_property
    def _measured(self) -> ResidualKnowledge:
        return self._measure(None)

    def _measure(self, methods: list[str] | None) -> ResidualKnowledge:
        """The study's measurement under its first perturbation (None: of all models together)."""
        return residual(self.run, self.run.scenario.perturbations[0], methods=methods)

    def hits(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The study's hits under its first perturbation, all radii above 0 together, from its
        counts: [sample] of a model, [k, sample] of the references."""
        model = self.ids[checks.one_of("model", name, self.models)]
        # Whoever begins with the first one needn't wait for the others.
        measured = self._measure([name]) if name == "Original" else self._measured
        (own, others), taus = measured.hits_of(model), np.array(self.run.scenario.taus)
        above = taus > 0 if (taus > 0).any() else taus == 0
        return own[above].sum(0), others[:, above].sum(1)

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


TABLE = "views.csv"


def export(
    folder: Path, view: View, pictures: Sequence[bytes], classes: Sequence[str]
) -> tuple[Path, Path]:
    """Write ``pictures`` (PNGs, put side by side) and the view's row; returns (PNG, CSV).

    ``folder`` is the run's. The same view exported again replaces its picture and its row.
    """
    picture, table = folder / "inspect" / f"{name_of(view)}.png", folder / "inspect" / TABLE
    store.write(picture, side_by_side(pictures))
    row = pd.DataFrame([{"file": picture.name, **row_of(view, classes)}])
    with FileLock(table.parent / f".{TABLE}.lock"):
        if table.exists():
            kept = pd.read_csv(table, keep_default_na=False)
            row = pd.concat([kept[kept.file != picture.name], row], ignore_index=True)
        store.write_frame(table, row)
    return picture, table


def name_of(view: View) -> str:
    """A file's name that tells the view and differs where the copy does."""
    parts = [f"sample{view.sample}", view.perturbation, f"tau{view.tau:g}", f"draw{view.draw}"]
    if view.found_on:
        parts += [f"on-{view.found_on}", f"steps{view.steps}"]
    return re.sub(r"[^\w.+-]", "-", "_".join(parts))


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


def side_by_side(pictures: Sequence[bytes], gap: int = 8) -> bytes:
    """PNGs in columns no higher than the highest of them, as one PNG on white."""
    from PIL import Image

    images = [Image.open(io.BytesIO(p)).convert("RGB") for p in pictures]
    highest = max(i.height for i in images)
    places, x, y, wide = [], 0, 0, 0
    for image in images:
        if y and y + image.height > highest:
            x, y, wide = x + wide + gap, 0, 0
        places.append((x, y))
        y, wide = y + image.height + gap, max(wide, image.width)
    sheet = Image.new("RGB", (x + wide, highest), "white")
    for image, place in zip(images, places, strict=True):
        sheet.paste(image, place)
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()
