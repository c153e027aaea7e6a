"""What a run measures: every model's counts, kept in files; the frame and the verdicts of them.

Each model's counts are a file of their own in ``counts/``, so that a further model, perturbation or
control costs itself alone.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from torch import Tensor

from rurklib import checks
from rurklib.models import build
from rurklib.perturb.perturbations import PERTURBATIONS
from rurklib.residual.controls import HELD_OUT, RETAINED, sampled
from rurklib.residual.counts import Counts, count_hits
from rurklib.residual.measure import assemble
from rurklib.residual.placement import by_p
from rurklib.residual.result import ResidualKnowledge
from rurklib.residual.spec import Measurement
from rurklib.samples import take
from rurklib.study import files
from rurklib.study.ids import ModelId
from rurklib.study.memo import ARRAYS, digest, fresh, key
from rurklib.study.run import Run
from rurklib.study.stages.models import load_models
from rurklib.study.stages.parallel import parallel

CONTROLS = {HELD_OUT: "held_out", RETAINED: "retain"}  # a control's name, and its part of the split


@dataclass(frozen=True)
class Question:
    """What the models of a run are asked: a measurement, and the part of the split it is about."""

    asked: Measurement
    part: str = "forget"

    def folder(self, run: Run) -> Path:
        """Where the answers are kept: the perturbation and what differs from the usual case."""
        asked, usual = self.asked, (tuple(run.scenario.taus), run.scenario.draws)
        name = asked.perturbation + ("" if self.part == "forget" else f"-{self.part}")
        if (asked.taus, asked.draws) != usual:
            name += "-" + digest({"taus": asked.taus, "draws": asked.draws})[:8]
        return run.folder / "counts" / name

    def file(self, run: Run, name: ModelId) -> Path:
        """The counts of one model."""
        return self.folder(run) / f"{name}.npz"

    @property
    def of(self) -> str:
        """What else than the forget set it is about, in words."""
        return "" if self.part == "forget" else f" on {self.part} samples"


def measure(run: Run) -> pd.DataFrame:
    """Residual knowledge of every model; written to residual_knowledge.csv.

    One row per perturbation, method, seed and tau. Rows of Re-train are each reference held out
    against the others: the null band is their range.
    """
    frames = []
    for perturbation in run.scenario.perturbations:
        rows = by_method(residual(run, perturbation))
        rows.insert(2, "perturbation", perturbation)
        frames.append(rows)
    frame = pd.concat(frames, ignore_index=True)
    files.write_frame(run.folder / "residual_knowledge.csv", frame)
    return frame


def by_method(result: ResidualKnowledge) -> pd.DataFrame:
    """One row per method, seed and tau of a run's measurement, the references among them."""
    first = [m for m in result.models if m.method == "Original"]
    rest = [m for m in result.models if m not in first]
    frames = []
    for name in (*first, *result.references, *rest):
        rows = result.rows(name)
        rows.insert(0, "method", name.method)
        rows.insert(1, "seed", name.seed)
        frames.append(rows)
    return pd.concat(frames, ignore_index=True)


def residual(
    run: Run,
    perturbation: str,
    *,
    part: str = "forget",
    taus: Sequence[float] | None = None,
    draws: int | None = None,
    methods: Sequence[str] | None = None,
    controls: bool = False,
) -> ResidualKnowledge:
    """The measurement under one perturbation, from counts that are kept in ``counts/``.

    ``taus`` and ``draws`` are the scenario's if none are given, ``methods`` (names, Original among
    them) those of the run; the re-trained references always are. ``part`` is "forget", "held_out"
    or "retain": of the latter two, samples of the forgotten class, at most 200 or as many as are
    forgotten. ``controls`` measures both of these beside the forget set, where there are any.
    Models go by their :class:`ModelId`, ("GD", 0).
    """
    checks.one_of("part", part, ("forget", *CONTROLS.values()))
    s = run.scenario
    asked = Measurement(
        s.taus if taus is None else taus,
        perturbation,
        s.draws if draws is None else draws,
        bounds=run.data.bounds,
    )
    question = Question(asked, part)
    chosen = ["Original", *s.methods] if methods is None else list(methods)
    models = [n for method in chosen for n in run.names(method)]
    references = run.names("Re-train")
    names = list(dict.fromkeys([*models, *references]))
    keys = _keys(run, question, names, references)
    todo = [n for n in names if not fresh(question.file(run, n), keys[n], ARRAYS)]
    if len(todo) < len(names):
        there = len(names) - len(todo)
        print(f"{perturbation}: {there} of {len(names)} models are counted already")
    shares = [todo[i :: run.jobs] for i in range(run.jobs)]
    stage = f"{perturbation}: {len(todo)} models counted{question.of}"
    parallel(run, [(_count, (run, question, share, keys)) for share in shares if share], stage)

    def count(shown: Sequence[ModelId], found_on: ModelId | None) -> Counts:
        if found_on is not None:
            return _read(run, question, found_on)
        return Counts.joined([_read(run, question, n) for n in shown])

    results = {
        name: residual(run, perturbation, part=its, taus=taus, draws=draws, methods=methods)
        for name, its in CONTROLS.items()
        if controls and len(samples(run, its)[0])
    }
    counts = assemble(models, references, asked, count)
    return ResidualKnowledge(counts, tuple(models), tuple(references), control_results=results)


def samples(run: Run, part: str) -> tuple[Tensor, Tensor]:
    """(x, y) of the forget set, or of a control: samples of the forgotten class or classes."""
    x, y = run.pair(part)
    if part == "forget":
        return x, y
    same = run.split.of_class(y)
    return sampled((take(x, same), y[same]), len(run.split.forget), seed=0)


def verdicts(result: ResidualKnowledge) -> pd.DataFrame:
    """A row per model: method, seed, tau (the largest), ratio_of_means, predict_low, predict_high,
    by_ratio ("above", "inside" or "below" what a further re-trained model would show, "" with fewer
    than three), p_ratio; and the margin test's finding, p and effect (logits).

    Two questions that needn't agree: is the class *recognised* more or less often at the largest
    tau, and is the model more or less *sure* over the whole curve. Each model is judged alone: a
    mean over seeds can lie inside where single seeds are outside on both sides.
    """
    rows = []
    for name in result.models:
        last, verdict = result.rows(name).iloc[-1], result.judge(name)
        rows.append(
            {
                **name._asdict(),
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


def _keys(
    run: Run, question: Question, names: Sequence[ModelId], references: Sequence[ModelId]
) -> dict[ModelId, str]:
    """All that each model's counts depend on, on copies found on it those of the references too."""
    load_models(run, names)  # a missing one is an error that says how to make it
    weights = {n: files.digest(run.checkpoint(n)) for n in names}
    x, y = samples(run, question.part)
    common = {"samples": files.weights_digest({"x": x, "y": y}), "asked": question.asked}
    shown = references if question.asked.gradient_based else ()
    makers = (count_hits, build, PERTURBATIONS[question.asked.perturbation].sample)

    def wanted(name: ModelId) -> str:
        seen = {str(m): weights[m] for m in (name, *shown)}
        return key(makers, {**common, "net": run.scenario.model, "weights": seen})

    return {name: wanted(name) for name in names}


def _count(
    run: Run, question: Question, names: Sequence[ModelId], keys: Mapping[ModelId, str]
) -> str:
    """Count the hits of some models and keep each one's in a file; returns a line for the log."""
    began = time.perf_counter()
    x, y = samples(run, question.part)
    if question.asked.gradient_based:  # each on copies of its own, which the references see too
        for name in names:
            nets = load_models(run, [name, *(n for n in run.names("Re-train") if n != name)])
            counts = count_hits(nets, x, y, question.asked, found_on=name)
            ARRAYS.save(question.file(run, name), _arrays(counts), keys[name])
    else:
        counts = count_hits(load_models(run, names), x, y, question.asked)
        for name in names:
            ARRAYS.save(question.file(run, name), _arrays(counts.only([name])), keys[name])
    said = f"{question.asked.perturbation}: {len(names)} models counted{question.of}"
    return f"{said}, {time.perf_counter() - began:.1f} s"


def _arrays(counts: Counts) -> dict[str, np.ndarray]:
    """What a file keeps of counts."""
    assert counts.margins is not None
    assert counts.moved is not None
    named = np.array([str(m) for m in counts.models])
    return {"hits": counts.hits, "margins": counts.margins, "moved": counts.moved, "models": named}


def _read(run: Run, question: Question, name: ModelId) -> Counts:
    arrays, asked = ARRAYS.load(question.file(run, name))[0], question.asked
    return Counts(
        arrays["hits"],
        tuple(ModelId.parse(str(m)) for m in arrays["models"]),
        tuple(asked.taus),
        asked.draws,
        asked.perturbation,
        seed=asked.seed,
        found_on=name if asked.gradient_based else None,
        margins=arrays["margins"],
        moved=arrays["moved"],
    )
