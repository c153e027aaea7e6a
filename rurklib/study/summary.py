"""One row a model: every metric of the comparison, and its cost, in ``summary.csv``.

Each model is judged against the same re-trained references, a reference against the *others*. That
LiRA's AUCs of these average 0.5 and their z 0 follows from that, and what they tell is the
*spread*: how far a model that never saw the samples may be from 0.5.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from torch import nn

from rurklib.metrics.registry import METRICS, Metric
from rurklib.study import store
from rurklib.study.models import load_models, record_of
from rurklib.study.parallel import parallel
from rurklib.study.run import ModelId, Run

TIMES = ("seconds", "share_of_retrain")  # the only columns that differ from run to run


def summarise(run: Run) -> pd.DataFrame:
    """What ``METRICS`` say, and costs, one row per method and seed; written to summary.csv.

    Columns: method, seed; retain_accuracy, unlearn_accuracy (100 - forget), test_accuracy,
    held_out_accuracy (on test samples of the forget class: what a re-trained model's forget
    accuracy should be like) and mia (the paper's attack's failure rate) in percent; lira_auc in
    [0, 1] and lira_mean_z (both NaN with fewer than three references); relearn_epochs (31 reads
    "> 30") and relearn_steps (301: "> 300"); average_gap to Re-train in percentage points, and
    avg_gap_of_means, the paper's, the same on all rows of a method; klom; those of further metrics;
    seconds that training or unlearning took, and their share_of_retrain.

    Where a whole class is forgotten, test accuracy is that on the other classes, and the attack
    learns to tell retained from forgotten samples and is scored on held-out ones of the class.
    """
    names = run.trained + run.unlearned
    load_models(run, names)
    tasks = [(_look, (run, name, dict(METRICS))) for name in names]
    seen = dict(zip(names, parallel(run, tasks, "models compared"), strict=True))
    rows = []
    for name in names:
        others = [seen[n] for n in run.names("Re-train") if n != name]
        seconds = record_of(run, name)["seconds"]
        rows.append({**name._asdict(), "seconds": seconds})
        for key, own in seen[name].items():
            m = METRICS[key]
            rows[-1] |= m.of(m.function(own, [o[key] for o in others]) if m.reading else own)
    frame = pd.DataFrame(rows)
    for m in METRICS.values():
        if "rows" in m.needs:
            frame[list(m.columns)] = pd.DataFrame(m.function(frame))
    frame["share_of_retrain"] = frame.seconds / frame.seconds[frame.method == "Re-train"].mean()
    frame = frame[columns()]
    store.write_frame(run.folder / "summary.csv", frame)
    return frame


def columns() -> list[str]:
    """Those of summary.csv: method, seed; those of ``METRICS``; the times."""
    ordered = sorted(METRICS.values(), key=lambda m: "rows" in m.needs)
    return ["method", "seed", *(c for m in ordered for c in m.columns), *TIMES]


def accuracies(run: Run, model: nn.Module) -> dict[str, float]:
    """A model's accuracies on the run's parts and the paper's attack on it, in percent."""
    chosen = {key: METRICS[key] for key in ("accuracies", "mia")}
    seen = _seen(run, {"model": model}, chosen)
    return {c: v for key, m in chosen.items() for c, v in m.of(seen[key]).items()}


def _look(run: Run, name: ModelId, metrics: Mapping[str, Metric]) -> dict[str, Any]:
    """What metrics say about one model, and their readings of it."""
    # A reference has no Original of its own seed: any one sets the same goal, the first does.
    origin = ModelId("Original", name.seed if name.method != "Re-train" else run.seeds[0])
    models = load_models(run, [name, origin])
    return _seen(run, {"model": models[name], "original": models[origin]}, metrics)


def _seen(
    run: Run, models: Mapping[str, nn.Module], metrics: Mapping[str, Metric]
) -> dict[str, Any]:
    parts = {part: run.pair(part) for part in ("retain", "forget", "test", "held_out")}
    given = {**models, **parts, "whole_class": run.whole_class}
    return {
        key: (m.reading or m.function)(**{k: given[k] for k in m.needs})
        for key, m in metrics.items()
        if "rows" not in m.needs
    }
