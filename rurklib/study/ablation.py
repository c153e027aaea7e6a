"""One cell of an ablation: a method with some choices changed, against re-trained models.

Cells that forget the same samples with the same net and training share Original and the re-trained
references: these are trained and counted once, in a run folder below ``shared`` that is named by
what decides them. The unlearned model itself is not kept.
"""

import contextlib
import io
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock
from torch import nn

from rurklib import checks
from rurklib.metrics.accuracy import average_gap
from rurklib.perturb import BALLS, PERTURBATIONS
from rurklib.residual.counts import count
from rurklib.residual.result import ResidualKnowledge
from rurklib.residual.verdict import Verdict
from rurklib.study import store
from rurklib.study.measurement import by_method, residual
from rurklib.study.models import (
    checksums,
    ended,
    load_model,
    load_models,
    record_of,
    train,
    unlearned,
)
from rurklib.study.run import ModelId, Run, open_run
from rurklib.study.scenario import SCENARIOS
from rurklib.study.summary import accuracies
from rurklib.unlearn.contract import defaults


def ablate(
    scenario: str,
    shared: str | Path,
    *,
    seed: int,
    unlearning_seed: int | None = None,
    settings: Mapping[str, Any] | None = None,
    method: str = "RURK",
    hyperparameters: Mapping[str, Any] | None = None,
    laws: Sequence[str] = ("gaussian",),
    radii: Mapping[str, Sequence[float]] | None = None,
    jobs: int = 1,
) -> tuple[pd.DataFrame, dict[str, Verdict]]:
    """Unlearn with changed ``hyperparameters`` and measure the outcome, beside Original.

    ``seed`` is Original's, and the method's too unless it has an ``unlearning_seed``: several of
    these on one Original show how much is the method's own chance. ``settings`` changes the
    scenario (what is forgotten, which net, how many references). A tau for uniform noise in a ball,
    to train with or to measure, is read as that of Gaussian noise as large
    (:func:`matched_radius`), so that norms can be compared. ``radii`` gives those
    of a perturbation that has its own, such as the rate of an edit.

    Returns a row per model (Original and ``method``), perturbation (column ``law``) and tau: the
    columns of :attr:`ResidualKnowledge.frame`, accuracies and the paper's attack in percent,
    average_gap to the re-trained models in points, seconds; one for each re-trained model, held out
    against the others, under the first perturbation at the largest tau; and the verdict on each
    under the first. Raises InputError for unknown names or values, before anything is trained.
    """
    changed, radii = dict(hyperparameters or {}), dict(radii or {})
    for name in changed:
        checks.one_of(f"hyper-parameter of {method}", name, defaults(method))
    for law in laws:
        checks.one_of("law", law, PERTURBATIONS)
    for law in radii:
        checks.one_of("law with radii", law, laws)
    run = shared_run(scenario, shared, seed=seed, settings=settings, jobs=jobs)
    values = {**SCENARIOS[scenario].hyperparameters(method), **changed}
    dimensions = math.prod(run.pair("forget")[0].shape[1:])
    if "tau" in values:
        values["tau"] = _radius(values.get("perturbation", ""), values["tau"], dimensions)
    asked = {law: [*radii.get(law, run.scenario.taus)] for law in laws}
    origin, mine = ModelId("Original", seed), ModelId(method, seed)
    with _alone(run.folder), contextlib.redirect_stdout(io.StringIO()):  # no line on each model
        references, kept = _references(run), {}
        for law in laws:
            taus = [tau if law in radii else _radius(law, tau, dimensions) for tau in asked[law]]
            kept[law] = residual(run, law, taus=taus, methods=["Original"])
    began = time.perf_counter()
    model = unlearned(run, method, seed, values, unlearning_seed=unlearning_seed)
    seconds = {method: ended(run.device) - began}
    seconds["Original"] = record_of(run, origin)["seconds"]
    nets = {"Original": load_model(run, origin), method: model}
    told = pd.DataFrame([{"method": m, **accuracies(run, net)} for m, net in nets.items()])
    table = pd.concat([told, references])
    table["average_gap"] = average_gap(table)
    table["seconds"] = table.method.map(seconds)
    results = {law: _with_another(run, kept[law], mine, model) for law in laws}
    verdicts = {m.method: results[laws[0]].judge(m) for m in (origin, mine)}
    frames = [by_method(result).assign(law=law) for law, result in results.items()]
    for law, rows in zip(laws, frames, strict=True):
        rows["alike_tau"] = np.resize(asked[law], len(rows))
    frame = pd.concat(frames, ignore_index=True).drop(columns="seed")
    frame.insert(1, "law", frame.pop("law"))
    for m, verdict in verdicts.items():
        frame.loc[frame.method == m, ["finding", "p"]] = verdict.finding, verdict.p
    once = (frame.law == laws[0]) & (frame.alike_tau == asked[laws[0]][-1])  # of each reference
    others = frame[once & (frame.method == "Re-train")].reset_index(drop=True)
    others = others.join(table[table.method == "Re-train"].drop(columns="method"))
    both = frame[frame.method != "Re-train"].merge(table, on="method", how="left")
    return pd.concat([both, others], ignore_index=True), verdicts


def shared_run(
    scenario: str,
    shared: str | Path,
    *,
    seed: int,
    settings: Mapping[str, Any] | None = None,
    jobs: int = 1,
) -> Run:
    """The run whose Original and references a cell needs, trained; one folder for each request.

    A second cell that asks for the same waits until the first has made it.
    """
    checks.one_of("scenario", scenario, SCENARIOS)
    # Some method must be named; the first, for new ones are added at the end.
    chosen = {**(settings or {}), "methods": list(SCENARIOS[scenario].methods)[:1]}
    plain = SCENARIOS[scenario].changed(chosen).settings()
    plain.pop("methods")
    folder = Path(shared) / f"{scenario}-{store.checksum(plain)[:10]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        run = open_run(scenario, folder, seeds=[seed], settings=chosen, jobs=jobs, plugins=[])
        train(run)
    return run


def _alone(folder: Path) -> FileLock:
    """Wait until no other cell makes or keeps anything in a shared run."""
    return FileLock(folder.with_name(f".{folder.name}.lock"))


def _with_another(
    run: Run, kept: ResidualKnowledge, name: ModelId, model: nn.Module
) -> ResidualKnowledge:
    """What a run's counts say, with one more model that is asked the same."""
    beside = load_models(run, kept.references) if kept.counts.options.gradient_based else {}
    own = count({name: model}, *run.pair("forget"), kept.counts.options, beside=beside)
    return replace(kept, counts=kept.counts | own, models=(*kept.models, name))


def _references(run: Run) -> pd.DataFrame:
    """The accuracies of the re-trained models, kept: method, and :func:`accuracies`."""
    names = run.names("Re-train")

    def make() -> Mapping[str, Any]:  # eight digits: those of the tables
        found = [accuracies(run, net) for net in load_models(run, names).values()]
        return {"rows": [{k: float(f"{v:.8g}") for k, v in row.items()} for row in found]}

    inputs = {"models": [*checksums(run, names).values()], "split": run.split.digest}
    rows = store.make(run.folder / "references.json", "trial", inputs, make)["rows"]
    return pd.DataFrame(rows).assign(method="Re-train")


def matched_radius(tau: float, p: float, dimensions: int) -> float:
    """Radius of the Lp ball whose uniform noise is as large as Gaussian noise of sd ``tau``.

    As large: the same root mean square a coordinate, so the same mean squared L2 length. With R the
    radius and d dimensions it is R^2 / 3 (p = inf), R^2 / (d + 2) (p = 2) and 2 R^2 / ((d + 1)
    (d + 2)) (p = 1, the coordinates' sizes are Dirichlet). Before clipping.

    >>> round(matched_radius(0.1, 2, 64), 3)
    0.812
    """
    d = dimensions
    return tau * math.sqrt({math.inf: 3.0, 2: d + 2.0, 1: (d + 1) * (d + 2) / 2}[p])


def _radius(name: str, tau: float, dimensions: int) -> float:
    """The radius at which noise that fills a ball is as large as Gaussian noise of sd tau."""
    return matched_radius(tau, BALLS[name], dimensions) if name in BALLS else tau
