"""What a run measures: every model's counts, kept in files; the frame and the verdicts of them.

Each model's counts are a file of their own in ``counts/``, so that a further model, perturbation or
control costs itself alone.
"""

import functools
import math
import operator
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from torch import Tensor

from rurklib import checks
from rurklib.perturb import PERTURBATIONS
from rurklib.residual.controls import HELD_OUT, RETAINED, sampled
from rurklib.residual.counts import BLOCK, Counts, Measurement, count
from rurklib.residual.result import ResidualKnowledge
from rurklib.residual.statistics import log_odds
from rurklib.residual.verdict import STATISTICS, Verdict
from rurklib.study import extend, store
from rurklib.study.models import checksums, load_model, load_models
from rurklib.study.parallel import parallel
from rurklib.study.run import ModelId, Run
from rurklib.tensors import as_float, generator

P_COLUMNS = ("p_margin", "p_scaled_margin", "p_soft_hits", "p_hits", "p_hits_first")
P_OF = dict(zip(STATISTICS, P_COLUMNS, strict=True))  # a statistic's column in verdicts.csv
SIDES = ("above", "inside", "below")
SHARE, LARGE = 4, 2**26  # models that are counted together, where copies hold so many numbers
CONTROLS = {HELD_OUT: "held_out", RETAINED: "retain"}  # a control's name, and its part of the split


@dataclass(frozen=True)
class Question:
    """A measurement, and the part of the split it is about. The answer of each model is a file: its
    counts and, where copies are found on it by a gradient, those of the references on these."""

    run: Run
    asked: Measurement
    part: str = "forget"

    def file(self, name: ModelId) -> Path:
        """One model's counts, in a folder named by the perturbation and what is unusual."""
        asked, s = self.asked, self.run.scenario
        folder = asked.perturbation + ("" if self.part == "forget" else f"-{self.part}")
        if (asked.taus, asked.draws) != (tuple(s.taus), s.draws):
            folder += "-" + store.checksum({"taus": asked.taus, "draws": asked.draws})[:8]
        return self.run.folder / "counts" / folder / f"{name}.npz"

    def keys(self, names: Sequence[ModelId]) -> dict[ModelId, str]:
        """All that each model's counts depend on."""
        net = self.run.scenario.model
        given = {"samples": store.checksum([*samples(self.run, self.part)]), "net": net}
        inputs = {**given, "asked": self.asked, **extend.code(net, self.asked.perturbation)}
        weights = checksums(self.run, [*names, *self._others])
        seen = {n: {str(m): weights[m] for m in (n, *self._others)} for n in names}
        return {n: store.key("counts", {**inputs, "weights": seen[n]}) for n in names}

    def count(self, names: Sequence[ModelId], keys: Mapping[ModelId, str]) -> None:
        """Count the hits of some models and keep each one's in its file."""
        x, y = samples(self.run, self.part)
        nets, references = (load_models(self.run, n) for n in (names, self._others))
        counts = count(nets, x, y, self.asked, beside=references)
        for name in names:
            arrays = {"hits": counts.hits[name], "margins": counts.margins[name]}
            arrays |= {f"on {other}": hits for other, hits in counts.on.get(name, {}).items()}
            store.save(self.file(name), arrays, keys[name])

    def read(self, name: ModelId) -> Counts:
        """The counts that one model's file holds."""
        arrays = store.read(self.file(name))[0]
        hits, margins = {name: arrays.pop("hits")}, {name: arrays.pop("margins")}
        on = {ModelId.parse(key.removeprefix("on ")): array for key, array in arrays.items()}
        return Counts(self.asked, hits, margins, {name: on} if on else {})

    @property
    def _others(self) -> list[ModelId]:
        """Who is asked about the copies of each model besides it."""
        return self.run.names("Re-train") if self.asked.gradient_based else []


def measure(run: Run) -> pd.DataFrame:
    """Residual knowledge of every model; written to residual_knowledge.csv.

    One row per perturbation, method, seed and tau. Rows of Re-train are each reference held out
    against the others: the null band is their range.
    """
    frames = {law: by_method(residual(run, law)) for law in run.scenario.perturbations}
    for law, rows in frames.items():
        rows.insert(2, "perturbation", law)
    frame = pd.concat(frames.values(), ignore_index=True)
    store.write_frame(run.folder / "residual_knowledge.csv", frame)
    return frame


def by_method(result: ResidualKnowledge) -> pd.DataFrame:
    """One row per method, seed and tau of a run's measurement, the references among them."""
    first = [m for m in result.models if m.method == "Original"]
    rest = [m for m in result.models if m not in first]
    rows = {name: result.rows(name) for name in (*first, *result.references, *rest)}
    return pd.concat(rows, names=ModelId._fields).reset_index([0, 1]).reset_index(drop=True)


def residual(
    run: Run,
    perturbation: str,
    *,
    part: str = "forget",
    taus: Sequence[float] | None = None,
    draws: int | None = None,
    methods: Sequence[str] | None = None,
    controls: bool | Sequence[str] = False,
) -> ResidualKnowledge:
    """The measurement under one perturbation, from counts that are kept in ``counts/``.

    ``taus`` and ``draws`` are the scenario's if none are given, ``methods`` (names, Original among
    them) those of the run; the re-trained references always are. ``part`` is "forget", "held_out"
    or "retain": of the latter two, samples of the forgotten class, at most 200 or as many as are
    forgotten. ``controls`` measures both of these beside the forget set, where there are any, or
    those of ``CONTROLS`` that it names. Models go by their :class:`ModelId`, ("GD", 0).
    """
    checks.one_of("part", part, ("forget", *CONTROLS.values()))
    s = run.scenario
    taus, draws = s.taus if taus is None else taus, s.draws if draws is None else draws
    asked = Measurement(
        taus, perturbation, draws, bounds=run.data.bounds, precision=s.recipe.precision
    )
    PERTURBATIONS[perturbation].check(samples(run, part)[0], max(asked.taus), run.data.bounds)
    question = Question(run, asked, part)
    chosen = ["Original", *s.methods] if methods is None else methods
    models = tuple(name for method in chosen for name in run.names(method))
    references = tuple(run.names("Re-train"))
    keys = question.keys([*models, *references])
    todo = [n for n in keys if store.find(question.file(n), keys[n]) is None]
    # Copies are made once for the models of a share. Where counting takes minutes, shares are
    # small: each is kept when it is done.
    x, y = samples(run, part)
    is_long = x.shape.numel() * draws * len(taus) > LARGE or run.scheduler
    many = max(run.jobs, len(todo) // SHARE if is_long else 1)
    shares = filter(None, (todo[i::many] for i in range(many)))
    tasks = [(question.count, (share, keys)) for share in shares]
    parallel(run, tasks, f"{perturbation}, {part}: {len(todo)} of {len(keys)} models counted")
    results = {
        name: residual(run, perturbation, part=beside, taus=taus, draws=draws, methods=methods)
        for name, beside in CONTROLS.items()
        if (controls is True or name in (controls or ())) and len(samples(run, beside)[0])
    }
    counts = functools.reduce(operator.or_, map(question.read, [*models, *references]))
    return ResidualKnowledge(counts, models, references, y.cpu().numpy(), control_results=results)


def samples(run: Run, part: str) -> tuple[Tensor, Tensor]:
    """(x, y) of the forget set, or of a control: samples of the forgotten class or classes."""
    x, y = run.pair(part)
    if part == "forget":
        return x, y
    same = run.split.of_class(y)
    return sampled((x[same], y[same]), len(run.split.forget), seed=0)


def verdicts(result: ResidualKnowledge) -> pd.DataFrame:
    """A row per model: method, seed; numbers of :attr:`ResidualKnowledge.frame` at the largest tau;
    by_ratio and p_ratio, where the curve's point lies in a picture, of :func:`by_p`; then the
    verdict of the rule, which is the only one (:func:`verdict_row`); and, if held-out samples of
    the same kind were measured beside, whether forgotten samples are ``treated`` unlike those
    (:mod:`rurklib.residual.exchange`), and p_treated."""
    rows, comparable = [], HELD_OUT in result.control_results and not result.unlike_held_out
    for name in result.models:
        last = result.rows(name).iloc[-1]
        hits, _, others, _ = result.answers(name)  # each model's on its own copies
        odds, rest = (log_odds(h, result.counts.options.draws)[..., -1] for h in (hits, others))
        columns = "tau", "ratio_of_means", "predict_low", "predict_high"
        row = {**name._asdict(), **last[[*columns, "difference", "margin_difference"]]}
        side = by_p(float(odds - rest.mean()), last.p_value)
        row |= {"by_ratio": side, "p_ratio": last.p_value, **verdict_row(result.judge(name))}
        if comparable:
            test = result.exchange(name)
            row |= {"treated": test.finding, "p_treated": test.p}
        rows.append(row)
    return pd.DataFrame(rows)


def by_p(difference: float, p: float) -> str:
    """The side by a test at 5 %: ``difference`` from the re-trained models, and its p; one of
    ``SIDES``, "" if p is NaN."""
    if math.isnan(p):
        return ""
    return "inside" if p >= 0.05 else "above" if difference > 0 else "below"


def in_most(findings: Iterable[str]) -> str:
    """The verdict that more than half of a method's seeds have, or that there is none such."""
    counts = Counter(findings)
    most, n = counts.most_common(1)[0]
    return most if n > counts.total() / 2 else "differs by seed"


def verdict_row(verdict: Verdict) -> dict[str, str | float | bool]:
    """A verdict as a table has it: finding, p, effect, the p of each statistic (NaN: unknown), and
    whether significant ones point to different sides."""
    ps = {column: verdict.p_values.get(name, math.nan) for name, column in P_OF.items()}
    number = {"p": verdict.p, "effect": verdict.effect, **ps}
    return {"finding": verdict.finding, **number, "mixed": verdict.mixed}


class Telling(NamedTuple):
    """Forget samples [n, ...] as floats, a perturbed copy of each and their labels int64 [n]; the
    radius, and where the samples stand in the forget set; of ``draws`` such copies, how many are
    recognised by Original and by the mean re-trained model, [n] each."""

    images: Tensor
    copies: Tensor
    labels: Tensor
    tau: float
    places: np.ndarray
    draws: int
    original: np.ndarray
    retrained: np.ndarray


def telling_copies(run: Run, most: int = 8) -> Telling:
    """The forget samples of whose copies the first seed's Original recognises most more than
    re-trained models do on average, at the largest tau; of each the first copy that was measured.

    Looked for among the first 256. Counts what isn't counted yet of Original and the references.
    """
    law, tau, name = run.scenario.perturbations[0], run.scenario.taus[-1], run.names("Original")[0]
    measured = residual(run, law, methods=["Original"])
    own, others = measured.hits_of(name)
    own, others = own[-1, :BLOCK], others[:, -1, :BLOCK].mean(0)
    index = np.argsort(others - own)[:most]
    x, y = (part[:BLOCK] for part in run.pair("forget"))
    x, stream = as_float(x), generator(measured.counts.options.seed, 0, 0, device=x.device)
    model, bounds = load_model(run, name), run.data.bounds
    copies = PERTURBATIONS[law].sample(model, x, y, tau, [stream], bounds)
    hits = run.scenario.draws, own[index], others[index]
    return Telling(x[index], copies[index], y[index], tau, index, *hits)
