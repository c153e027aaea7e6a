"""The stages of a study: train -> unlearn -> measure, each resumed where it stopped.

Each stage makes what is missing, skips what is there with the right fingerprint, and hands plain
objects to the next:

    run = open_run("digits", "runs/digits", seeds=[0, 1, 2])
    models = train(run) | unlearn(run)
    frame = measure(run)
"""

from rurklib.study.attacking import attack_table, attacked, cheat, parts, spare_of_class
from rurklib.study.jobs import parallel
from rurklib.study.measure import by_method, measure, residual, samples
from rurklib.study.models import (
    finite,
    load_models,
    method_code,
    same_prior,
    smoothed,
    train,
    unlearn,
    unlearned,
)
from rurklib.study.verdicts import verdicts

__all__ = [
    "attack_table",
    "attacked",
    "by_method",
    "cheat",
    "finite",
    "load_models",
    "measure",
    "method_code",
    "parallel",
    "parts",
    "residual",
    "same_prior",
    "samples",
    "smoothed",
    "spare_of_class",
    "train",
    "unlearn",
    "unlearned",
    "verdicts",
]
