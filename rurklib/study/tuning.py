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
on most Originals and destroy the next. Its score is its mean distance to the re-trained models, in
percentage points, over four numbers: retain, unlearn and validation accuracy, and accuracy on
perturbed forget samples (its distance averaged over the scenario's radii). The distance is taken
for each Original and then averaged, so that errors both ways don't cancel. The paper's MIA is left
out: it moves by tens of points where the others move by one, and would decide alone.

Trial 0 is the method's defaults, written out, for a scenario may have other values that a winning
trial has to replace; the rest is drawn from the method's space (``@method(..., search=...)``).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import loguniform
from sklearn.model_selection import ParameterSampler
from torch import nn

from rurklib import checks
from rurklib.metrics.accuracy import accuracy
from rurklib.perturb import PERTURBATIONS
from rurklib.residual.counts import Measurement, count
from rurklib.study import extend, store
from rurklib.study.models import load_model, load_models, train, unlearned
from rurklib.study.parallel import parallel
from rurklib.study.run import ModelId, Run
from rurklib.study.scenario import literal
from rurklib.tensors import mixed_seed
from rurklib.unlearn.contract import SEARCH, Diverged, defaults

SCREEN, FINALISTS = 2, 3
DRAWS = 20  # copies a sample and radius, or the scenario's: accuracies are averages over samples
SCORED = {"retain": "retain", "unlearn": "unlearn", "validation": "test", "nearby": "nearby"}
Numbers = Mapping[str, list[float]]


def tune(
    run: Run, *, methods: Sequence[str] | None = None, budget: int = 24, seed: int = 0
) -> pd.DataFrame:
    """Try ``budget`` settings of each method (default: all of the scenario) on a rehearsal.

    Writes ``trials.csv`` and returns those of ``methods``, a row per method, trial and rehearsal
    seed: the settings; retain, unlearn, validation and nearby (distance to the re-trained models in
    percentage points); and score, their mean. Writes ``settings.json``, the best trial of each
    method as ``rurk study --settings`` takes it. ``seed`` decides the draws from the spaces.
    """
    if not run.rehearsal:
        raise checks.InputError("tune needs a rehearsal: open_run(..., rehearsal=True)")
    chosen = list(run.scenario.methods if methods is None else methods)
    for name in chosen:
        checks.one_of("method", name, run.scenario.methods)
    train(run)
    references = load_models(run, run.names("Re-train")).values()
    found = [numbers(run, reference) for reference in references]
    target = {part: np.mean([f[part] for f in found], axis=0) for part in SCORED.values()}
    settings = {name: settings_of(name, budget, seed) for name in chosen}

    def rows(pairs: Iterable[tuple[str, int]], seeds: Sequence[int]) -> list[dict[str, Any]]:
        keys = [(name, t, seed) for name, t in pairs for seed in seeds]
        tasks = [(trial, (run, name, seed, settings[name][t])) for name, t, seed in keys]
        table = pd.DataFrame(keys, columns=["method", "trial", "seed"]).to_dict("records")
        for row, found in zip(table, parallel(run, tasks), strict=True):
            values = settings[row["method"]][row["trial"]].items()
            row["settings"] = "; ".join(f"{key}={value!r}" for key, value in values)
            row |= _score(found, target)
        return table

    first = [(name, t) for name in chosen for t in range(len(settings[name]))]
    screened = rows(first, run.seeds[:SCREEN])
    scores = pd.DataFrame(screened).groupby(["method", "trial"]).score.mean()
    finalists = [(name, t) for name in chosen for t in scores[name].nsmallest(FINALISTS).index]
    table = pd.DataFrame(screened + rows(finalists, run.seeds[SCREEN:]))
    everything, path = table, run.folder / "trials.csv"
    if path.exists():  # methods that were tuned before and aren't now
        earlier = pd.read_csv(path, keep_default_na=False)
        everything = pd.concat([earlier[~earlier.method.isin(chosen)], table], ignore_index=True)
    store.write_frame(path, everything)
    store.write_json(run.folder / "settings.json", best(everything))
    return table


def _score(found: Numbers, target: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Distances to the re-trained models and their mean; the worst where weights diverged."""
    far = dict.fromkeys(SCORED, 100.0)
    if found:
        far = {k: float(np.abs(found[part] - target[part]).mean()) for k, part in SCORED.items()}
    return {**far, "score": float(np.mean(list(far.values())))}


def settings_of(name: str, budget: int, seed: int = 0) -> list[dict[str, Any]]:
    """The searched hyper-parameters of each trial of a method; the first has their defaults.

    A method without a search space has one trial. A larger budget adds trials to the same first.
    """
    space = SEARCH[name]
    first = {key: defaults(name)[key] for key in space}
    if not space:
        return [first]
    spaces = {k: v if isinstance(v, list) else loguniform(*v) for k, v in space.items()}
    state = mixed_seed(seed, *name.encode()) % 2**32
    drawn = [first, *ParameterSampler(spaces, budget - 1, random_state=state)]
    for one, (key, where) in product(drawn[1:], space.items()):
        if isinstance(where, tuple):  # a range: of whole numbers, or read to 3 digits
            one[key] = round(one[key]) if isinstance(where[0], int) else float(f"{one[key]:.3g}")
    return [{key: one[key] for key in space} for one in drawn]


def chosen_trials(table: pd.DataFrame) -> pd.DataFrame:
    """The best finalist of each method: method, trial, settings; ``score`` over all Originals;
    ``screened``, its score on the first of them, to compare with ``defaults``, that of trial 0."""
    keys = ["method", "trial", "settings"]
    score = table.groupby(keys, sort=False).score.agg(["mean", "size"]).reset_index()
    full = score[score["size"] == score.groupby("method")["size"].transform("max")]
    best = full.loc[full.groupby("method", sort=False)["mean"].idxmin()]
    best = best.rename(columns={"mean": "score"}).drop(columns="size")
    first = table[table.seed.isin(table.seed.unique()[:SCREEN])]  # in the run's order
    screened = first.groupby(["method", "trial"]).score.mean()
    best["defaults"] = [screened[m, 0] for m in best.method]
    best["screened"] = [screened[m, t] for m, t in zip(best.method, best.trial, strict=True)]
    return best.reset_index(drop=True)


def best(table: pd.DataFrame) -> dict[str, Any]:
    """The settings of the chosen trials by the names that ``--set`` takes."""
    return {
        f"{row.method}.{name}": literal(value)
        for row in chosen_trials(table).itertuples()
        for name, value in (part.split("=", 1) for part in row.settings.split("; ") if part)
    }


def trials(run: Run, method: str, grid: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Unlearn with each entry of ``grid`` for each of the run's seeds, ``run.jobs`` at a time.

    An entry changes some of the scenario's hyper-parameters of ``method``. Returns a row per entry
    and seed: the changed values, seed, retain_, unlearn_, test_ and nearby_accuracy, that on copies
    of the forget samples at the largest tau, all in percent (NaN where the weights diverged). The
    run keeps the numbers and no model.
    """
    load_models(run, run.names("Original"))
    usual = run.scenario.hyperparameters(method)
    rows = [{**entry, "seed": seed} for entry in grid for seed in run.seeds]
    tasks = [(trial, (run, method, s, {**usual, **entry})) for entry in grid for s in run.seeds]
    for row, found in zip(rows, parallel(run, tasks), strict=True):
        for part in ("retain", "unlearn", "test", "nearby"):
            row[f"{part}_accuracy"] = found[part][-1] if found else math.nan
    return pd.DataFrame(rows)


def trial(run: Run, method: str, seed: int, values: Mapping[str, Any]) -> Numbers:
    """What becomes of an Original that ``method`` unlearns with ``values`` in place of its
    defaults: :func:`numbers`, or nothing where its weights diverged. The run keeps it."""
    perturbation = _perturbation(run)
    inputs = {
        "original": store.checksum(load_model(run, ModelId("Original", seed)).state_dict()),
        "method": method,
        "split": run.split.digest,
        "taus": run.scenario.taus,
        "perturbation": perturbation,
        "values": {**defaults(method), **values},
        **extend.code(perturbation, method),
    }

    def make() -> Numbers:
        try:
            return numbers(run, unlearned(run, method, seed, values))
        except Diverged:
            return {}

    name = f"{ModelId(method, seed)}-{store.key('trial', inputs)}.json"
    return store.make(run.folder / "trials" / name, "trial", inputs, make)


def numbers(run: Run, model: nn.Module) -> Numbers:
    """Accuracies of a model in percent: retain, unlearn (100 - forget) and test, one each, and
    nearby, on perturbed forget samples, one for each radius above 0."""
    x, y = run.pair("forget")
    scenario = run.scenario
    taus, draws = [t for t in scenario.taus if t > 0], min(DRAWS, scenario.draws)
    bounds, precision = run.data.bounds, scenario.recipe.precision
    measured = Measurement(taus, _perturbation(run), draws, bounds=bounds, precision=precision)
    hits = count({"model": model}, x, y, measured).hits["model"]
    return {
        "retain": [accuracy(model, *run.pair("retain"))],
        "unlearn": [100 - accuracy(model, x, y)],
        "test": [accuracy(model, *run.pair("test"))],
        "nearby": (100 * hits.mean(axis=1) / draws).tolist(),
    }


def _perturbation(run: Run) -> str:
    """The first of the scenario's that needs no gradient."""
    random = (p for p in run.scenario.perturbations if not PERTURBATIONS[p].gradient_based)
    return next(random, "gaussian")
