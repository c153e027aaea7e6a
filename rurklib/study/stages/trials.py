"""Try a method with other hyper-parameters, without leaving anything in the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from rurklib import metrics, study
from rurklib.study.run import Run


def trials(run: Run, method: str, grid: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Unlearn with each entry of ``grid`` for each of the run's seeds, ``run.jobs`` at a time.

    An entry changes some of the scenario's hyper-parameters of ``method``. Returns a row per entry
    and seed: the changed values, seed, unlearn_accuracy and test_accuracy in percent.
    """
    study.load_models(run, run.names("Original"))  # a missing one is an error, before any work
    tasks = [(_trial, (run, method, entry, seed)) for entry in grid for seed in run.seeds]
    return pd.DataFrame(study.parallel(run, tasks))


def _trial(run: Run, method: str, entry: Mapping[str, Any], seed: int) -> dict[str, Any]:
    values = {**run.scenario.hyperparameters(method), **entry}
    model = study.unlearned(run, method, seed, values)
    return {
        **entry,
        "seed": seed,
        "unlearn_accuracy": 100 - metrics.accuracy(model, *run.pair("forget")),
        "test_accuracy": metrics.accuracy(model, *run.pair("test")),
    }
