"""Class unlearning beside the right references, and beside those that the paper seems to have used.

See :mod:`rurklib.study.scenarios.classes` for why the paper's denominators are taken to be those of
models that were re-trained without *half* of the class.
"""

from dataclasses import replace

import pandas as pd

from rurklib.checks import InputError
from rurklib.perturb.perturbations import PERTURBATIONS
from rurklib.study import files
from rurklib.study.ids import HALF, ModelId
from rurklib.study.run import Run
from rurklib.study.stages.measure import residual
from rurklib.study.stages.models import half_trained

RIGHT = ["tau", "forget_accuracy", "reference_accuracy", "difference", "margin_difference"]
WRONG = {"reference_accuracy": "half_accuracy", "ratio_of_means": "half_ratio"}


def against_half_trained(run: Run) -> pd.DataFrame:
    """Where a whole class is forgotten, every model against both kinds of references.

    One row per method, seed and tau, under the scenario's first perturbation. ``difference`` (of
    shares in [0, 1]) and ``margin_difference`` (logits) are to the re-trained models, which never
    saw the class; ``half_accuracy`` is the share that models recognise which were trained without
    half of it alone, and ``half_ratio`` the ratio of means to them, which is what the paper's
    Figs. C.9 to C.11 seem to show. Written to class_references.csv. Raises InputError if anything
    of the class is retained, or if the perturbation searches on a model.
    """
    law = run.scenario.perturbations[0]
    if PERTURBATIONS[law].gradient_based:
        raise InputError(
            f"perturbation = {law!r} searches on each model: two kinds of references can't be "
            "shown the same copies; put a random one first, as in --set perturbations=gaussian"
        )
    half = [*half_trained(run)]
    both = residual(run, law, methods=["Original", *run.scenario.methods, HALF])
    models = tuple(n for n in both.models if n.method != HALF)
    wrong = replace(both, models=models, references=tuple(half))
    rows = {
        name: both.rows(name)[RIGHT].join(wrong.rows(name)[[*WRONG]].rename(columns=WRONG))
        for name in (*models, *both.references)
    }
    frame = pd.concat(rows, names=ModelId._fields).reset_index([0, 1]).reset_index(drop=True)
    files.write_frame(run.folder / "class_references.csv", frame)
    return frame
