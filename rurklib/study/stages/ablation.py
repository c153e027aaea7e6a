"""One cell of an ablation: a method with some choices changed, against re-trained models.

Cells that forget the same samples with the same net and training share Original and the re-trained
references: these are trained once, in a run folder below ``shared`` that is named by what decides
them, under a lock, so that cells may run at the same time. The unlearned model itself is not kept.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from rurklib import checks, metrics, perturb, study
from rurklib.residual.measure import residual_knowledge
from rurklib.residual.result import ResidualKnowledge
from rurklib.residual.verdict import Verdict
from rurklib.study import files, memo
from rurklib.study.ids import ModelId
from rurklib.study.run import Run, open_run
from rurklib.study.scenarios import SCENARIOS
from rurklib.study.stages.summary import accuracies
from rurklib.unlearn.contract import defaults


def ablate(
    scenario: str,
    shared: str | Path,
    *,
    seed: int,
    settings: Mapping[str, Any] | None = None,
    method: str = "RURK",
    hyperparameters: Mapping[str, Any] | None = None,
    laws: Sequence[str] = ("gaussian",),
    radii: Mapping[str, Sequence[float]] | None = None,
    jobs: int = 1,
) -> tuple[pd.DataFrame, dict[str, Verdict]]:
    """Unlearn with changed ``hyperparameters`` and measure the outcome, beside Original.

    ``settings`` changes the scenario (what is forgotten, which net, how many references). A tau for
    uniform noise in a ball, to train with or to measure, is read as that of Gaussian noise as large
    (:func:`rurklib.perturb.matched_radius`), so that norms can be compared. ``radii`` gives
    those of a perturbation that has its own, such as the rate of an edit.

    Returns a row per model (Original and ``method``), law and tau: the columns of
    :attr:`ResidualKnowledge.frame`, accuracies and the paper's attack in percent, average_gap to
    the re-trained models in points, seconds; one for each re-trained model, held out against the
    others, under the first law at the largest tau; and the verdict on each under the first law.
    Raises InputError for unknown names or values, before anything is trained.
    """
    changed = dict(hyperparameters or {})
    for key in changed:
        checks.one_of(f"hyper-parameter of {method}", key, defaults(method))
    for law in laws:
        checks.one_of("law", law, perturb.PERTURBATIONS)
    for law in radii or {}:
        checks.one_of("law with radii", law, laws)
    run = shared_run(scenario, shared, seed=seed, settings=settings, jobs=jobs)
    values = {**run.scenario.hyperparameters(method), **changed}
    x, y = run.pair("forget")
    dimensions = math.prod(x.shape[1:])
    if "tau" in values:
        values["tau"] = _radius(values.get("perturbation", ""), values["tau"], dimensions)
    models = study.load_models(run, run.trained)
    original = models["Original", seed]
    began = time.perf_counter()
    unlearned = study.unlearned(run, method, seed, values)
    seconds = {method: time.perf_counter() - began}
    if not study.finite(unlearned):
        raise checks.InputError(
            f"{method} seed {seed} diverged with {values}: its weights aren't finite; try less"
        )
    seconds["Original"] = files.load_weights(run.checkpoint(ModelId("Original", seed)))[2][
        "seconds"
    ]
    nets = {"Original": original, method: unlearned}
    references = {n: net for n, net in models.items() if n.method == "Re-train"}
    told = [{"method": m, **accuracies(run, net)} for m, net in nets.items()]
    table = pd.concat([pd.DataFrame(told), pd.read_csv(run.folder / "references.csv")])
    table["average_gap"] = metrics.average_gap(table)
    table["seconds"] = table.method.map(seconds)
    frames, verdicts = [], {}
    for law in laws:
        asked = tuple((radii or {}).get(law, run.scenario.taus))
        own = law in (radii or {})
        result = residual_knowledge(
            nets,
            references,
            x,
            y,
            taus=[tau if own else _radius(law, tau, dimensions) for tau in asked],
            perturbation=law,
            draws=run.scenario.draws,
            bounds=run.data.bounds,
        )
        rows = _rows(result, law)
        rows["alike_tau"] = rows.groupby("method").tau.transform(lambda _, asked=asked: asked)
        frames.append(rows)
        if law == laws[0]:
            verdicts = {name: result.judge(name) for name in nets}
            cloud = [
                result.rows(r).iloc[[-1]].assign(method="Re-train", law=law) for r in references
            ]
    frame = pd.concat(frames, ignore_index=True)
    for name, verdict in verdicts.items():
        frame.loc[frame.method == name, ["finding", "p"]] = verdict.finding, verdict.p
    known = table.method != "Re-train"
    frame = frame.merge(table[known], on="method", how="left", validate="many_to_one")
    last = tuple((radii or {}).get(laws[0], run.scenario.taus))[-1]
    others = pd.concat(cloud, ignore_index=True).assign(alike_tau=last)
    others = others.join(table[~known].drop(columns="method").reset_index(drop=True))
    return pd.concat([frame, others], ignore_index=True), verdicts


def shared_run(
    scenario: str,
    shared: str | Path,
    *,
    seed: int,
    settings: Mapping[str, Any] | None = None,
    jobs: int = 1,
) -> Run:
    """The run whose Original and references a cell needs, trained; one folder for each request.

    Its ``references.csv`` has the accuracies of the re-trained models. A second cell that asks for
    the same waits until the first has made it.
    """
    from filelock import FileLock

    checks.one_of("scenario", scenario, SCENARIOS)
    chosen = {**(settings or {}), "methods": list(SCENARIOS[scenario].methods)[-1:]}
    plain = SCENARIOS[scenario].changed(chosen).settings()
    plain.pop("methods")
    folder = Path(shared) / f"{scenario}-{memo.fingerprint(settings=plain)[:10]}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        run = open_run(scenario, folder, seeds=[seed], settings=chosen, jobs=jobs)
        study.train(run)
        table = folder / "references.csv"
        if not table.exists():
            nets = study.load_models(run, run.names("Re-train"))
            rows = [{"method": "Re-train", **accuracies(run, net)} for net in nets.values()]
            files.write_frame(table, pd.DataFrame(rows))
    return run


def _radius(name: str, tau: float, dimensions: int) -> float:
    """The radius at which noise that fills a ball is as large as Gaussian noise of sd tau."""
    law = perturb.PERTURBATIONS.get(name)
    if law is None or law.p is None or law.gradient_based:
        return tau
    return perturb.matched_radius(tau, law.p, dimensions)


def _rows(result: ResidualKnowledge, law: str) -> pd.DataFrame:
    rows = result.frame.rename(columns={"model": "method"})
    rows.insert(1, "law", law)
    return rows
