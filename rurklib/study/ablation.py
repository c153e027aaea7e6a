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

import pandas as pd
from filelock import FileLock

from rurklib import checks
from rurklib.metrics.accuracy import average_gap
from rurklib.perturb import BALLS, PERTURBATIONS
from rurklib.residual.counts import count
from rurklib.residual.verdict import Verdict
from rurklib.study import store
from rurklib.study.measurement import by_method, residual
from rurklib.study.models import checksums, ended, load_models, record_of, train, unlearned
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
    scenario (what is forgotten, which net, how many references). ``radii`` gives the taus of a
    perturbation that has its own, such as the rate of an edit. A tau for uniform noise in a ball,
    to train with or to measure, is read as that of Gaussian noise as large
    (:func:`matched_radius`), so that norms can be compared.

    Returns a row per model (Original and ``method``), perturbation (``law``) and tau: the columns
    of :attr:`ResidualKnowledge.frame`, accuracies and the paper's attack in percent, average_gap to
    the re-trained models in points, seconds; one for each re-trained model, held out against the
    others, under the first perturbation at the largest tau; and the verdicts under the first.
    Raises InputError for unknown names or values, before anything is trained.
    """
    changed = dict(hyperparameters or {})
    for name in changed:
        checks.one_of(f"hyper-parameter of {method}", name, defaults(method))
    for law in laws:
        checks.one_of("law", law, PERTURBATIONS)
    run = shared_run(scenario, shared, seed=seed, settings=settings, jobs=jobs)
    pair = run.pair("forget")
    dimensions = pair[0][0].numel()
    values = {**SCENARIOS[scenario].hyperparameters(method), **changed}
    if "tau" in values:
        values["tau"] = matched_radius(values["tau"], values.get("perturbation", ""), dimensions)
    alike, kept = {law: (radii or {}).get(law, run.scenario.taus) for law in laws}, {}
    with _alone(run.folder), contextlib.redirect_stdout(io.StringIO()):  # no line on each model
        for law in laws:
            taus = [matched_radius(tau, law, dimensions) for tau in alike[law]]
            kept[law] = residual(run, law, taus=taus, methods=["Original"])
        table = _accuracies(run)
    origin, mine = ModelId("Original", seed), ModelId(method, seed)
    began = time.perf_counter()
    nets = {mine: unlearned(run, method, seed, values, unlearning_seed=unlearning_seed)}
    seconds = {method: ended(run.device) - began, "Original": record_of(run, origin)["seconds"]}
    references, frames = load_models(run, run.names("Re-train")), []
    for law, result in kept.items():
        options = result.counts.options
        counts = count(nets, *pair, options, beside=references)
        kept[law] = replace(result, counts=result.counts | counts, models=(origin, mine))
        rows = by_method(kept[law])
        rows.insert(1, "law", law)
        rows["alike_tau"] = rows.tau.map(dict(zip(options.taus, alike[law], strict=True)))
        frames.append(rows)
    verdicts = {name.method: kept[laws[0]].judge(name) for name in (origin, mine)}
    findings = [(name, verdict.finding, verdict.p) for name, verdict in verdicts.items()]
    judged = pd.DataFrame(findings, columns=["method", "finding", "p"])
    nets |= load_models(run, [origin])
    both = [{**name._asdict(), **accuracies(run, net)} for name, net in nets.items()]
    table = pd.concat([pd.DataFrame(both), table])
    table["average_gap"] = average_gap(table)
    table["seconds"] = table.method.map(seconds)
    frame = pd.concat(frames).merge(judged, on="method", how="left")
    frame = frame.merge(table, on=["method", "seed"]).drop(columns="seed")
    retrained = frame.method == "Re-train"
    once = retrained & (frame.law == laws[0]) & (frame.alike_tau == alike[laws[0]][-1])
    return pd.concat([frame[~retrained], frame[once]], ignore_index=True), verdicts


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


def _accuracies(run: Run) -> pd.DataFrame:
    """:func:`accuracies` of the re-trained models, kept; with method and seed."""
    names = run.names("Re-train")

    def make() -> Mapping[str, Any]:  # eight digits: those of the tables
        found = [accuracies(run, net) for net in load_models(run, names).values()]
        return {"rows": [{k: float(f"{v:.8g}") for k, v in row.items()} for row in found]}

    inputs = {"models": [*checksums(run, names).values()], "split": run.split.digest}
    rows = store.make(run.folder / "references.json", "trial", inputs, make)["rows"]
    return pd.DataFrame(names).join(pd.DataFrame(rows))


def matched_radius(tau: float, perturbation: str, dimensions: int) -> float:
    """Radius of the ball whose uniform noise is as large as Gaussian noise of sd ``tau``; ``tau``
    itself for any other perturbation.

    As large: the same root mean square a coordinate, before clipping. In d dimensions the mean
    square of a ball of radius R is R^2 / 3 (L-inf), R^2 / (d + 2) (L2) and 2 R^2 / ((d + 1)
    (d + 2)) (L1, where the coordinates' sizes are Dirichlet).

    >>> round(matched_radius(0.1, "uniform-l2", 64), 3)
    0.812
    """
    if perturbation not in BALLS:
        return tau
    d = dimensions
    squares = {math.inf: 3.0, 2: d + 2.0, 1: (d + 1) * (d + 2) / 2}
    return tau * math.sqrt(squares[BALLS[perturbation]])
