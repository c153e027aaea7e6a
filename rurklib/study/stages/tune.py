"""Choose hyper-parameters without looking: every method gets the same trials on a *rehearsal*.

A method's settings can't be chosen by its forget set, test set or references and then be reported
on the same; that flatters it. So the request is rehearsed with other people: as many samples of
the same class that are *retained* in the study play the forget set, the validation part plays the
test set, and Originals and references of their own are trained. No test sample is looked at, and no
forget sample of the study is looked at *as forgotten*: here they are among those to be retained.

    run = open_run("digits", "runs/digits-tune", seeds=range(900, 908), rehearsal=True)
    table = tune(run)

A trial is one set of hyper-parameters for one method. Every trial is made on the first SCREEN
rehearsal Originals, and the FINALISTS best of each method on all of them, for some methods do well
on most Originals and destroy the next. Its score
is its mean distance to the re-trained models, in percentage points, over four numbers: retain,
unlearn and validation accuracy, and accuracy on perturbed forget samples (its distance averaged
over the scenario's radii). The distance is taken for each Original and then averaged, so a method
that is right on average by being wrong both ways doesn't win. The paper's MIA is left out: it
moves by tens of points where the others move by one, and would decide alone. The best finalist is
chosen by its mean over all rehearsal Originals.

Trial 0 is the method's defaults (the paper's values where it gives them); the others are drawn
from the space that its file names (``@method(..., search=...)``), the same number for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from rurklib import checks, metrics
from rurklib.perturb.perturbations import PERTURBATIONS
from rurklib.residual.cache import CODE
from rurklib.residual.counts import count_hits
from rurklib.residual.spec import Measurement
from rurklib.rng import mixed_seed
from rurklib.study import files, memo
from rurklib.study.run import Run
from rurklib.study.stages.models import finite, load_models, method_code, train, unlearned
from rurklib.study.stages.parallel import parallel
from rurklib.unlearn.contract import SEARCH, defaults

SCORED = ("retain", "unlearn", "validation", "nearby")


SCREEN, FINALISTS = 2, 3


DRAWS = 20  # perturbed copies a sample and radius: accuracies here are averages over many samples


def tune(
    run: Run, *, methods: Sequence[str] | None = None, budget: int = 24, seed: int = 0
) -> pd.DataFrame:
    """Try ``budget`` settings of each method (default: all of the scenario) on a rehearsal.

    Writes ``trials.csv``, a row per method, trial and rehearsal seed: its settings; retain,
    unlearn, validation and nearby (distance to the re-trained models in percentage points); and
    score, their mean. Writes ``settings.json``, the best trial of each method in the form that
    ``rurk study --settings`` takes. Finished trials are kept and not repeated. ``seed`` decides
    the draws from the spaces. Trials of other methods in the folder stay; those of ``methods`` are
    returned.
    """
    if not run.rehearsal:
        raise checks.InputError("tune needs a rehearsal: open_run(..., rehearsal=True)")
    checks.count("budget", budget)
    checks.count("seed", seed, 0)
    chosen = list(run.scenario.methods if methods is None else methods)
    for name in chosen:
        checks.one_of("method", name, run.scenario.methods)
    train(run)
    target = _target(run)
    tried = {name: settings_of(name, budget, seed) for name in chosen}

    def made(name: str, trials: Iterable[int], seeds: Sequence[int]) -> list[tuple]:
        return [(_trial, (run, target, name, t, s, tried[name][t])) for t in trials for s in seeds]

    columns = ["method", "trial", "seed", "settings", *SCORED, "score"]
    screened = [m for n in chosen for m in made(n, range(len(tried[n])), run.seeds[:SCREEN])]
    rows = parallel(run, screened)
    table = pd.DataFrame(rows, columns=columns)
    final = [m for n in chosen for m in made(n, finalists(table, n), run.seeds[SCREEN:])]
    table = pd.DataFrame(rows + parallel(run, final), columns=columns)
    everything = table
    if (run.folder / "trials.csv").exists():  # methods that were tuned before and aren't now
        earlier = pd.read_csv(run.folder / "trials.csv", keep_default_na=False)
        everything = pd.concat([earlier[~earlier.method.isin(chosen)], table], ignore_index=True)
    files.write_frame(run.folder / "trials.csv", everything)
    files.write_json(run.folder / "settings.json", best(everything))
    return table


def settings_of(name: str, budget: int, seed: int = 0) -> list[dict[str, Any]]:
    """The changed hyper-parameters of each trial of a method; the first changes none.

    A method without a search space has one trial.
    """
    space = SEARCH[name]
    rng = np.random.default_rng(mixed_seed(seed, *name.encode()))
    drawn = [{key: _draw(where, rng) for key, where in space.items()} for _ in range(budget - 1)]
    return [{}, *(drawn if space else [])]


def _draw(where: Any, rng: np.random.Generator) -> Any:
    if isinstance(where, list):
        return where[int(rng.integers(len(where)))]
    low, high = where
    value = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    return round(value) if isinstance(low, int) else float(f"{value:.3g}")


def finalists(table: pd.DataFrame, name: str) -> list[int]:
    """The best trials of a method on the first rehearsal Originals."""
    score = table[table.method == name].groupby("trial").score.mean()
    return [int(t) for t in score.nsmallest(FINALISTS).index]


def chosen_trials(table: pd.DataFrame) -> pd.DataFrame:
    """The best finalist of each method: method, trial, settings; ``score`` over all Originals;
    ``screened``, its score on the first of them, to compare with ``defaults``, that of trial 0."""
    keys = ["method", "trial", "settings"]
    score = table.groupby(keys, sort=False).score.agg(["mean", "size"]).reset_index()
    full = score[score["size"] == score.groupby("method")["size"].transform("max")]
    best = full.loc[full.groupby("method", sort=False)["mean"].idxmin()]
    best = best.rename(columns={"mean": "score"}).drop(columns="size")
    first = table[table.seed.isin(sorted(table.seed.unique())[:SCREEN])]
    screened = first.groupby(["method", "trial"]).score.mean()
    best["defaults"] = [screened[m, 0] for m in best.method]
    best["screened"] = [screened[m, t] for m, t in zip(best.method, best.trial, strict=True)]
    return best.reset_index(drop=True)


def best(table: pd.DataFrame) -> dict[str, Any]:
    """The settings of the chosen trials by the names that ``--set`` takes."""
    return {
        f"{row.method}.{k}": v
        for row in chosen_trials(table).itertuples()
        for k, v in _parsed(row.settings).items()
    }


def _shown(values: Mapping[str, Any]) -> str:
    return "; ".join(f"{k}={v!r}" for k, v in values.items())


def _parsed(text: str) -> dict[str, Any]:
    from rurklib.study.scenarios.scenario import literal

    pairs = (part.split("=", 1) for part in text.split("; ") if part)
    return {key: literal(value) for key, value in pairs}


def _target(run: Run) -> dict[str, np.ndarray]:
    """What the re-trained models show, averaged over them."""
    seen = [_numbers(run, m) for m in load_models(run, run.names("Re-train")).values()]
    return {key: np.mean([s[key] for s in seen], axis=0) for key in SCORED}


def _numbers(run: Run, model: torch.nn.Module) -> dict[str, np.ndarray]:
    """The four numbers of a model in percent; ``nearby`` is one for each radius above 0."""
    s, (x, y) = run.scenario, run.pair("forget")
    law = next((p for p in s.perturbations if not PERTURBATIONS[p].gradient_based), "gaussian")
    taus = [t for t in s.taus if t > 0]
    asked = Measurement(taus, law, DRAWS, bounds=run.data.bounds)
    hits = count_hits({"model": model}, x, y, asked)
    return {
        "retain": np.array([metrics.accuracy(model, *run.pair("retain"))]),
        "unlearn": np.array([100 - metrics.accuracy(model, x, y)]),
        "validation": np.array([metrics.accuracy(model, *run.pair("test"))]),
        "nearby": 100 * hits.of("model").mean(axis=1) / DRAWS,
    }


def _trial(
    run: Run,
    target: Mapping[str, np.ndarray],
    name: str,
    trial: int,
    seed: int,
    values: Mapping[str, Any],
) -> dict[str, Any]:
    """One method with one setting on one rehearsal Original; kept in a file of its own."""
    (original,) = load_models(run, [("Original", seed)]).values()
    wanted = memo.fingerprint(
        method=name,
        values={**defaults(name), **values},
        original=files.weights_digest(original.state_dict()),
        target={k: v.tolist() for k, v in target.items()},
        code=[method_code(name), memo.code("study/stages/tune", "metrics/accuracy", *CODE)],
        device=run.device.type,
        torch=torch.__version__,
    )
    path = run.folder / "trials" / f"{name}-{trial}-seed{seed}.json"
    if path.exists() and (kept := files.read_json(path)).pop("fingerprint") == wanted:
        return kept
    model = unlearned(run, name, seed, values)
    numbers = _numbers(run, model)
    far = {key: float(np.abs(numbers[key] - target[key]).mean()) for key in SCORED}
    if not finite(model):
        far = dict.fromkeys(SCORED, 100.0)
    row = {"method": name, "trial": trial, "seed": seed, "settings": _shown(values), **far}
    row["score"] = float(np.mean(list(far.values())))
    files.write_json(path, row | {"fingerprint": wanted})
    return row
