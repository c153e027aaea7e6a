"""One row a model: every accuracy, attack and cost of the comparison, in ``summary.csv``.

Each model is judged against the same re-trained references. LiRA judges a reference against the
*others*; that their AUCs average 0.5 and their z 0 follows from that, and what they tell is the
*spread*: how far a model that never saw the samples may be from 0.5.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from rurklib import metrics
from rurklib.study import files
from rurklib.study.run import Name, Run
from rurklib.study.stages.models import load_models
from rurklib.study.stages.parallel import parallel

TIMES = ("seconds", "share_of_retrain")  # the only columns that differ from run to run


def summarise(run: Run) -> pd.DataFrame:
    """Accuracies, attacks and costs, one row per method and seed; written to summary.csv.

    Columns: method, seed; retain_accuracy, unlearn_accuracy (100 - forget), test_accuracy,
    held_out_accuracy (on test samples of the forget class: what a re-trained model's forget
    accuracy should be like) and mia (the paper's attack's failure rate) in percent; lira_auc in
    [0, 1] and lira_mean_z (both NaN with fewer than three references); relearn_epochs (31 reads
    "> 30"); average_gap to Re-train in percentage points; seconds that training or unlearning
    took, and their share_of_retrain.

    Where a whole class is forgotten, test accuracy is that on the other classes, and the attack
    learns to tell retained from forgotten samples and is scored on held-out ones of the class.
    """
    names = run.trained + run.unlearned
    load_models(run, names)
    judged = dict(zip(names, parallel(run, [(_judge, (run, n)) for n in names]), strict=True))
    references = run.names("Re-train")
    retrain = np.mean([judged[n][0]["seconds"] for n in references])
    rows = []
    for name in names:
        row, own = judged[name]
        out = [judged[n][1] for n in references if n != name]
        others = [np.stack([o[part] for o in out]) for part in ("forget", "held_out")]
        attack = (
            metrics.lira(own["forget"], others[0], own["held_out"], others[1])
            if len(out) > 1
            else None
        )
        rows.append(
            row
            | {
                "lira_auc": attack.auc if attack else math.nan,
                "lira_mean_z": attack.mean_z if attack else math.nan,
                "share_of_retrain": row["seconds"] / retrain,
            }
        )
    frame = pd.DataFrame(rows)
    frame["average_gap"] = metrics.average_gap(frame)
    frame = frame[list(COLUMNS)]
    files.write_frame(run.folder / "summary.csv", frame)
    return frame


COLUMNS = (
    "method",
    "seed",
    "retain_accuracy",
    "unlearn_accuracy",
    "test_accuracy",
    "held_out_accuracy",
    "mia",
    "lira_auc",
    "lira_mean_z",
    "relearn_epochs",
    "average_gap",
    *TIMES,
)


def _judge(run: Run, name: Name) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """What can be said about one model alone, and its confidences for the attack by references."""
    method, seed = name
    # A reference has no Original of its own seed: any one sets the same goal, the first does.
    origin = ("Original", seed if method != "Re-train" else run.seeds[0])
    models = load_models(run, [name, origin])
    model, original = models[name], models[origin]
    forget, held_out = run.pair("forget"), run.pair("held_out")
    row = {
        "method": method,
        "seed": seed,
        **accuracies(run, model),
        "relearn_epochs": metrics.relearn_epochs(model, original, forget),
        "seconds": files.load_weights(run.checkpoint(name))[2]["seconds"],
    }
    confidences = {
        part: metrics.confidence(model, *pair).numpy()
        for part, pair in (("forget", forget), ("held_out", held_out))
    }
    return row, confidences


def accuracies(run: Run, model: nn.Module) -> dict[str, float]:
    """A model's accuracies on the run's parts and the paper's attack on it, in percent."""
    retain, forget, held_out, test = (
        run.pair(part) for part in ("retain", "forget", "held_out", "test")
    )
    attack = (
        metrics.mia_class(model, retain, forget, held_out)
        if run.whole_class
        else metrics.mia(model, retain, test, forget)
    )
    return {
        "retain_accuracy": metrics.accuracy(model, *retain),
        "unlearn_accuracy": 100 - metrics.accuracy(model, *forget),
        "test_accuracy": metrics.accuracy(model, *test),
        "held_out_accuracy": metrics.accuracy(model, *held_out),
        "mia": attack,
    }
