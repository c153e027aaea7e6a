"""One trial: a method with one setting on one Original, scored. Kept, for it is asked for again."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from torch import nn

from rurklib.metrics.accuracy import accuracy
from rurklib.perturb.perturbations import PERTURBATIONS
from rurklib.residual.counts import Measurement, count_hits
from rurklib.study import brought
from rurklib.study.ids import ModelId
from rurklib.study.memo import JSON, key, memo
from rurklib.study.run import Run
from rurklib.study.stages.making import load_model, unlearned
from rurklib.study.stages.models import digests
from rurklib.study.stages.parallel import parallel
from rurklib.unlearn.contract import METHODS, Diverged, defaults

DRAWS = 20  # copies a sample and radius, or the scenario's: accuracies are averages over samples


def trials(run: Run, method: str, grid: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Unlearn with each entry of ``grid`` for each of the run's seeds, ``run.jobs`` at a time.

    An entry changes some of the scenario's hyper-parameters of ``method``. Returns a row per entry
    and seed: the changed values, seed, retain_, unlearn_, test_ and nearby_accuracy, that on copies
    of the forget samples at the largest tau, all in percent (NaN where the weights diverged). The
    run keeps the numbers and no model.
    """
    digests(run, run.names("Original"))  # a missing one is an error, before any work
    rows = [{**entry, "seed": seed} for entry in grid for seed in run.seeds]
    own = run.scenario.hyperparameters(method)
    tasks = [(trial, (run, method, s, {**own, **e})) for e in grid for s in run.seeds]
    for row, found in zip(rows, parallel(run, tasks), strict=True):
        for part in ("retain", "unlearn", "test", "nearby"):
            row[f"{part}_accuracy"] = found[part][-1] if found else math.nan
    return pd.DataFrame(rows)


def trial(run: Run, method: str, seed: int, values: Mapping[str, Any]) -> Mapping[str, list[float]]:
    """What becomes of an Original that ``method`` unlearns with ``values`` in place of its
    defaults: :func:`numbers`, or nothing where its weights diverged."""
    made_from = {
        "original": load_model(run, ModelId("Original", seed)),
        "split": run.split.digest,
        "taus": run.scenario.taus,
        "perturbation": random_law(run),
        "values": {**defaults(method), **values},
        **brought.code(random_law(run)),
    }
    wanted = key([METHODS[method], accuracy, count_hits], made_from)

    def make() -> Mapping[str, list[float]]:
        try:
            return numbers(run, unlearned(run, method, seed, values))
        except Diverged:
            return {}

    return memo(
        run.folder / "trials" / f"{ModelId(method, seed)}-{wanted}.json", make, wanted, JSON
    )


def numbers(run: Run, model: nn.Module) -> Mapping[str, list[float]]:
    """Accuracies of a model in percent: retain, unlearn (100 - forget) and test, one each, and
    nearby, on perturbed forget samples, one for each radius above 0."""
    x, y = run.pair("forget")
    taus = [t for t in run.scenario.taus if t > 0]
    draws, precision = min(DRAWS, run.scenario.draws), run.scenario.recipe.precision
    law = random_law(run)
    asked = Measurement(taus, law, draws, bounds=run.data.bounds, precision=precision)
    hits = count_hits({"model": model}, x, y, asked).of("model")
    return {
        "retain": [accuracy(model, *run.pair("retain"))],
        "unlearn": [100 - accuracy(model, x, y)],
        "test": [accuracy(model, *run.pair("test"))],
        "nearby": (100 * hits.mean(axis=1) / draws).tolist(),
    }


def numbers_of(run: Run, name: ModelId) -> Mapping[str, list[float]]:
    """:func:`numbers` of one of the run's own models."""
    return numbers(run, load_model(run, name))


def random_law(run: Run) -> str:
    """The first of the scenario's that needs no gradient."""
    random = (p for p in run.scenario.perturbations if not PERTURBATIONS[p].gradient_based)
    return next(random, "gaussian")
