"""What a run measures: every model's counts under a law, kept in files, and the frame of them.

A question is a law, its radii, a number of draws and a part of the split: the forget set, or one of
the controls beside it. Each model's counts are a file of their own in ``counts/``, so a further
model, law or control costs itself alone.

What is said of each model of a run, once by its ratio and once by its margins.

Two questions that needn't agree: is it *recognised* more or less often, at the largest tau, than by
a further re-trained model; and is the model more or less *sure* over the whole curve. Each model
is judged alone: a mean over seeds can lie inside where single seeds are outside on both sides.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from rurklib import checks
from rurklib.perturb.perturbations import PERTURBATIONS
from rurklib.residual.cache import CODE
from rurklib.residual.controls import HELD_OUT, RETAINED, sampled
from rurklib.residual.counts import Counts, count_hits
from rurklib.residual.placement import by_p
from rurklib.residual.result import ResidualKnowledge
from rurklib.residual.spec import Measurement
from rurklib.samples import take
from rurklib.study import files, memo
from rurklib.study.run import Name, Run
from rurklib.study.stages.models import load_models
from rurklib.study.stages.parallel import parallel

CONTROLS = {HELD_OUT: "held_out", RETAINED: "retain"}  # a control's name, and its part of the split


@dataclass(frozen=True)
class Question:
    """What models are asked: copies by ``law`` at ``taus``, ``draws`` a sample, of a part."""

    law: str
    part: str
    taus: tuple[float, ...]
    draws: int

    def folder(self, run: Run) -> Path:
        """Where the answers are kept: the law's name, and what differs from the usual question."""
        name = self.law if self.part == "forget" else f"{self.law}-{self.part}"
        if (self.taus, self.draws) != (run.scenario.taus, run.scenario.draws):
            name += "-" + memo.fingerprint(taus=self.taus, draws=self.draws)[:8]
        return run.folder / "counts" / name

    def file(self, run: Run, name: Name) -> Path:
        return self.folder(run) / f"{_label(name)}.npz"


def measure(run: Run) -> pd.DataFrame:
    """Residual knowledge of every model; written to residual_knowledge.csv.

    One row per perturbation, method, seed and tau. Rows of Re-train are each reference held out
    against the others: the null band is their range.
    """
    frames = []
    for law in run.scenario.perturbations:
        rows = by_method(residual(run, law))
        rows.insert(2, "perturbation", law)
        frames.append(rows)
    frame = pd.concat(frames, ignore_index=True)
    files.write_frame(run.folder / "residual_knowledge.csv", frame)
    return frame


def by_method(result: ResidualKnowledge) -> pd.DataFrame:
    """One row per method, seed and tau of a run's measurement, the references among them."""
    first = [m for m in result.models if m.startswith("Original-")]
    rest = [m for m in result.models if m not in first]
    frames = []
    for label in (*first, *result.references, *rest):
        method, seed = label.rsplit("-seed", 1)
        rows = result.rows(label)
        rows.insert(0, "method", method)
        rows.insert(1, "seed", int(seed))
        frames.append(rows)
    return pd.concat(frames, ignore_index=True)


def residual(
    run: Run,
    law: str,
    *,
    part: str = "forget",
    taus: Sequence[float] | None = None,
    draws: int | None = None,
    methods: Sequence[str] | None = None,
    controls: bool = False,
) -> ResidualKnowledge:
    """The measurement under one law, from counts that are kept in ``counts/``.

    ``taus`` and ``draws`` are the scenario's if none are given, ``methods`` (names, Original among
    them) those of the run; the re-trained references always are. ``part`` is "forget", "held_out"
    or "retain": of the latter two, samples of the forgotten class, at most 200 or as many as are
    forgotten. ``controls`` measures both of these beside the forget set, where there are any.
    """
    checks.one_of("perturbation", law, PERTURBATIONS)
    checks.one_of("part", part, ("forget", *CONTROLS.values()))
    s = run.scenario
    radii = s.taus if taus is None else tuple(map(float, taus))
    checks.taus(radii)
    question = Question(
        law, part, radii, s.draws if draws is None else checks.count("draws", draws)
    )
    chosen = ["Original", *s.methods] if methods is None else list(methods)
    models = [n for method in chosen for n in run.names(method)]
    references = run.names("Re-train")
    names = list(dict.fromkeys([*models, *references]))
    prints = _fingerprints(run, question, names, references)
    todo = [n for n in names if not _counted(run, question, n, prints[n])]
    if len(todo) < len(names):
        print(f"{law}: {len(names) - len(todo)} of {len(names)} models are counted already")
    shares = [todo[i :: run.jobs] for i in range(run.jobs)]
    of = "" if part == "forget" else f" on {part} samples"
    stage = f"{law}: {len(todo)} models counted{of}"
    parallel(run, [(_count, (run, question, share, prints)) for share in shares if share], stage)
    counts = {_label(n): _read(run, question, n) for n in names}
    if not PERTURBATIONS[
        law
    ].gradient_based:  # the same copies for all: put the models side by side
        hits, margins = (
            np.concatenate([getattr(c, what) for c in counts.values()])
            for what in ("hits", "margins")
        )
        first = next(iter(counts.values()))
        shared = replace(first, hits=hits, margins=margins, models=tuple(counts))
        counts = dict.fromkeys(counts, shared)
    asked = {name: its for name, its in CONTROLS.items() if controls and len(samples(run, its)[0])}
    beside = {
        name: residual(run, law, part=its, taus=taus, draws=draws, methods=methods)
        for name, its in asked.items()
    }
    own, others = (tuple(_label(n) for n in group) for group in (models, references))
    return ResidualKnowledge(counts, own, others, control_results=beside)


def samples(run: Run, part: str) -> tuple[Tensor, Tensor]:
    """(x, y) of the forget set, or of a control: samples of the forgotten class or classes."""
    x, y = run.pair(part)
    if part == "forget":
        return x, y
    same = run.split.of_class(y)
    return sampled((take(x, same), y[same]), len(run.split.forget), seed=0)


def _label(name: Name) -> str:
    return f"{name[0]}-seed{name[1]}"


def _fingerprints(
    run: Run, question: Question, names: Sequence[Name], references: Sequence[Name]
) -> dict[Name, str]:
    """All that each model's counts depend on. A model is read once, however many hang on it."""
    nets = load_models(run, names)
    digests = {n: files.weights_digest(net.state_dict()) for n, net in nets.items()}
    x, y = samples(run, question.part)
    common = {
        "samples": files.weights_digest({"x": x, "y": y}),
        "law": question.law,
        "taus": question.taus,
        "draws": question.draws,
        "code": memo.code(*CODE),
        "torch": torch.__version__,
        "device": run.device.type,
    }
    beside = references if PERTURBATIONS[question.law].gradient_based else ()
    return {
        n: memo.fingerprint(weights={_label(m): digests[m] for m in (n, *beside)}, **common)
        for n in names
    }


def _counted(run: Run, question: Question, name: Name, fingerprint: str) -> bool:
    path = question.file(run, name)
    return path.exists() and files.load_arrays(path)[1] == fingerprint


def _count(run: Run, question: Question, names: Sequence[Name], prints: Mapping[Name, str]) -> str:
    """Count the hits of some models and keep each one's in a file."""
    began = time.perf_counter()
    x, y = samples(run, question.part)

    def ask(shown: Sequence[Name], found_on: str | None) -> Counts:
        nets = {_label(n): net for n, net in load_models(run, shown).items()}
        asked = Measurement(question.taus, question.law, question.draws, bounds=run.data.bounds)
        return count_hits(nets, x, y, asked, found_on=found_on)

    if PERTURBATIONS[question.law].gradient_based:
        for name in names:
            shown = list(dict.fromkeys([name, *run.names("Re-train")]))
            _write(run, question, name, ask(shown, _label(name)), prints[name])
    else:
        counts = ask(names, None)
        for name in names:
            _write(run, question, name, counts, prints[name])
    of = "" if question.part == "forget" else f" on {question.part} samples"
    return f"{question.law}: {len(names)} models counted{of}, {time.perf_counter() - began:.1f} s"


def _write(run: Run, question: Question, name: Name, counts: Counts, fingerprint: str) -> None:
    """Keep what was counted on the copies made for ``name``: its own hits and margins, and for a
    gradient law those of the references too."""
    kept = counts.models if counts.found_on else (_label(name),)
    assert counts.margins is not None
    assert counts.moved is not None
    at = [counts.models.index(m) for m in kept]
    arrays = {"hits": counts.hits[at], "margins": counts.margins[at], "models": np.array(kept)}
    arrays["moved"] = counts.moved
    files.save_arrays(question.file(run, name), arrays, fingerprint)


def _read(run: Run, question: Question, name: Name) -> Counts:
    arrays, _ = files.load_arrays(question.file(run, name))
    return Counts(
        arrays["hits"],
        tuple(str(m) for m in arrays["models"]),
        question.taus,
        question.draws,
        question.law,
        seed=0,
        found_on=_label(name) if PERTURBATIONS[question.law].gradient_based else None,
        margins=arrays["margins"],
        moved=arrays["moved"],
    )


def verdicts(result: ResidualKnowledge) -> pd.DataFrame:
    """A row per model: method, seed, tau (the largest), ratio_of_means, predict_low, predict_high,
    by_ratio ("above", "inside" or "below" what a further re-trained model would show, "" with fewer
    than three), p_ratio; and the margin test's finding, p and effect (logits)."""
    rows = []
    for name in result.models:
        method, seed = name.rsplit("-seed", 1)
        last, verdict = result.rows(name).iloc[-1], result.judge(name)
        rows.append(
            {
                "method": method,
                "seed": int(seed),
                **last[["tau", "ratio_of_means", "predict_low", "predict_high"]],
                # By accuracies: also where no reference says the class, and no ratio is defined.
                "by_ratio": by_p(last.difference, last.p_value),
                "p_ratio": last.p_value,
                "finding": verdict.finding,
                "p": verdict.p,
                "effect": verdict.effect,
            }
        )
    return pd.DataFrame(rows)
