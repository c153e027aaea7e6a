"""Choose hyper-parameters without looking: every method gets the same trials on a *rehearsal*.

A method's settings can't be chosen by its forget set, test set or references and then be reported
on the same; that flatters it. So the request is rehearsed with other people: as many samples of
the same class that are *retained* in the study play the forget set, the validation part plays the
test set, and Originals and references of their own are trained. Nothing that a study reports is
looked at:

    run = open_run("digits", "runs/digits-tune", seeds=[900, 901], rehearsal=True)
    table = tune(run)

A trial is one set of hyper-parameters for one method, used on every rehearsal Original. Its score
is its mean distance to the re-trained models, in percentage points, over four numbers: retain,
unlearn and validation accuracy, and accuracy on perturbed forget samples (its distance averaged
over the scenario's radii). The distance is taken for each Original and then averaged, so a method
that is right on average by being wrong both ways doesn't win. The paper's MIA is left out: it
moves by tens of points where the others move by one, and would decide alone.

Trial 0 is the method's defaults (the paper's values where it gives them); the others are drawn
from the space that its file names (``@method(..., search=...)``), the same number for all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch

from rurklib import check, metrics, store
from rurklib.guard import mixed
from rurklib.methods import METHODS, SEARCH, defaults
from rurklib.perturb import LAWS
from rurklib.residual import count_hits
from rurklib.run import Run
from rurklib.study import load_models, parallel, train

SCORED = ("retain", "unlearn", "validation", "nearby")
DRAWS = 20  # perturbed copies a sample and radius: accuracies here are averages over many samples


def tune(
    run: Run, *, methods: Sequence[str] | None = None, budget: int = 24, seed: int = 0
) -> pd.DataFrame:
    """Try ``budget`` settings of each method (default: all of the scenario) on a rehearsal.

    Writes ``trials.csv``, a row per method, trial and rehearsal seed: its settings; retain,
    unlearn, validation and nearby (distance to the re-trained models in percentage points); and
    score, their mean. Writes ``settings.json``, the best trial of each method in the form that
    ``rurk study --settings`` takes. Finished trials are kept and not repeated. ``seed`` decides
    the draws from the spaces. Returns the table.
    """
    if not run.rehearsal:
        raise check.InputError("tune needs a rehearsal: open_run(..., rehearsal=True)")
    check.count("budget", budget)
    check.count("seed", seed, 0)
    chosen = list(run.scenario.methods if methods is None else methods)
    for name in chosen:
        check.one_of("method", name, run.scenario.methods)
    train(run)
    target = _target(run)
    work = [
        (name, trial, seed_, values)
        for name in chosen
        for trial, values in enumerate(settings_of(name, budget, seed))
        for seed_ in run.seeds
    ]
    rows = parallel(run, [(_trial, (run, target, *item)) for item in work])
    table = pd.DataFrame(rows, columns=["method", "trial", "seed", "settings", *SCORED, "score"])
    store.write_frame(run.folder / "trials.csv", table)
    store.write_json(run.folder / "settings.json", best(table))
    return table


def settings_of(name: str, budget: int, seed: int = 0) -> list[dict[str, Any]]:
    """The changed hyper-parameters of each trial of a method; the first changes none.

    A method without a search space has one trial.
    """
    space = SEARCH[name]
    rng = np.random.default_rng(mixed(seed, *name.encode()))
    drawn = [{key: _draw(where, rng) for key, where in space.items()} for _ in range(budget - 1)]
    return [{}, *(drawn if space else [])]


def _draw(where: Any, rng: np.random.Generator) -> Any:
    if isinstance(where, list):
        return where[int(rng.integers(len(where)))]
    low, high = where
    value = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    return round(value) if isinstance(low, int) else float(f"{value:.3g}")


def best(table: pd.DataFrame) -> dict[str, Any]:
    """The settings of the best trial of each method, by the names that ``--set`` takes."""
    score = table.groupby(["method", "trial"], sort=False).score.mean()
    found: dict[str, Any] = {}
    for name in table.method.unique():
        trial = score[name].idxmin()
        row = table[(table.method == name) & (table.trial == trial)].iloc[0]
        found |= {f"{name}.{k}": v for k, v in _parsed(row.settings).items()}
    return found


def _shown(values: Mapping[str, Any]) -> str:
    return "; ".join(f"{k}={v!r}" for k, v in values.items())


def _parsed(text: str) -> dict[str, Any]:
    from rurklib.scenarios import literal

    pairs = (part.split("=", 1) for part in text.split("; ") if part)
    return {key: literal(value) for key, value in pairs}


def _target(run: Run) -> dict[str, np.ndarray]:
    """What the re-trained models show, averaged over them."""
    seen = [_numbers(run, m) for m in load_models(run, run.names("Re-train")).values()]
    return {key: np.mean([s[key] for s in seen], axis=0) for key in SCORED}


def _numbers(run: Run, model: torch.nn.Module) -> dict[str, np.ndarray]:
    """The four numbers of a model in percent; ``nearby`` is one for each radius above 0."""
    s, (x, y) = run.scenario, run.pair("forget")
    law = next((p for p in s.perturbations if not LAWS[p].uses_model), "gaussian")
    taus = [t for t in s.taus if t > 0]
    hits = count_hits(
        {"model": model}, x, y, taus=taus, perturbation=law, draws=DRAWS, bounds=run.data.bounds
    )
    test = run.pair("kept_test" if run.whole_class else "test")
    return {
        "retain": np.array([metrics.accuracy(model, *run.pair("retain"))]),
        "unlearn": np.array([100 - metrics.accuracy(model, x, y)]),
        "validation": np.array([metrics.accuracy(model, *test)]),
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
    wanted = store.fingerprint(
        method=name,
        values={**defaults(name), **values},
        original=store.weights_digest(original.state_dict()),
        target={k: v.tolist() for k, v in target.items()},
        code=store.code("methods", "train", "models", "perturb", "residual/counts", "guard"),
        torch=torch.__version__,
    )
    path = run.folder / "trials" / f"{name}-{trial}-seed{seed}.json"
    if path.exists() and (kept := store.read_json(path)).pop("fingerprint") == wanted:
        return kept
    model = METHODS[name](original, run.pair("retain"), run.pair("forget"), seed=seed, **values)
    numbers = _numbers(run, model)
    far = {key: float(np.abs(numbers[key] - target[key]).mean()) for key in SCORED}
    row = {"method": name, "trial": trial, "seed": seed, "settings": _shown(values), **far}
    row["score"] = float(np.mean(list(far.values())))
    store.write_json(path, row | {"fingerprint": wanted})
    return row
