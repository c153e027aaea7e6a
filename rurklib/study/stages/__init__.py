"""TODO study.stages"""

from rurklib.study.stages.ablation import ablate, shared_run
from rurklib.study.stages.attack import attack_table, attacked, cheat, parts, spare_of_class
from rurklib.study.stages.attack_tables import (
    FORGET,
    HELD_OUT,
    STATISTICS,
    across,
    mostly,
    outside,
    read_tables,
    table,
)
from rurklib.study.stages.measure import by_method, measure, residual, samples, verdicts
from rurklib.study.stages.models import (
    finite,
    load_models,
    method_code,
    same_prior,
    smoothed,
    train,
    unlearn,
    unlearned,
)
from rurklib.study.stages.parallel import parallel
from rurklib.study.stages.summary import accuracies, summarise
from rurklib.study.stages.trials import trials
from rurklib.study.stages.tune import best, chosen_trials, finalists, settings_of, tune

__all__ = [
    "FORGET",
    "HELD_OUT",
    "STATISTICS",
    "ablate",
    "accuracies",
    "across",
    "attack_table",
    "attacked",
    "best",
    "by_method",
    "cheat",
    "chosen_trials",
    "finalists",
    "finite",
    "load_models",
    "measure",
    "method_code",
    "mostly",
    "outside",
    "parallel",
    "parts",
    "read_tables",
    "residual",
    "same_prior",
    "samples",
    "settings_of",
    "shared_run",
    "smoothed",
    "spare_of_class",
    "summarise",
    "table",
    "train",
    "trials",
    "tune",
    "unlearn",
    "unlearned",
    "verdicts",
]
