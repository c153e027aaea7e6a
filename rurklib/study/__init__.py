"""The stages of a study: train -> unlearn -> measure, each resumed where it stopped.

Each stage makes what is missing, skips what is there with the right fingerprint, and hands plain
objects to the next:

    run = open_run("digits", "runs/digits", seeds=[0, 1, 2])
    models = train(run) | unlearn(run)
    frame = measure(run)
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "FORGET": "study.stages.attack_tables",
    "HELD_OUT": "study.stages.attack_tables",
    "ModelId": "study.ids",
    "ablate": "study.stages.ablation",
    "attack_table": "study.stages.attack",
    "attacked": "study.stages.attack",
    "by_method": "study.stages.measure",
    "class_parts": "study.stages.attack",
    "compare_runs": "study.stages.attack_tables",
    "evasive_model": "study.stages.attack",
    "finite": "study.stages.models",
    "load_models": "study.stages.models",
    "majority": "study.stages.attack_tables",
    "measure": "study.stages.measure",
    "method_code": "study.stages.models",
    "open_existing": "study.run",
    "open_run": "study.run",
    "parallel": "study.stages.parallel",
    "placement_table": "study.stages.attack_tables",
    "read_tables": "study.stages.attack_tables",
    "residual": "study.stages.measure",
    "same_prior": "study.stages.models",
    "samples": "study.stages.measure",
    "save_figure": "study.report.saved",
    "share_outside": "study.stages.attack_tables",
    "shared_run": "study.stages.ablation",
    "smoothed": "study.stages.models",
    "summarise": "study.stages.summary",
    "train": "study.stages.models",
    "trials": "study.stages.trials",
    "tune": "study.stages.tune",
    "unlearn": "study.stages.models",
    "unlearned": "study.stages.models",
    "validation_of_class": "study.stages.attack",
    "verdicts": "study.stages.measure",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"rurklib.{_HOMES[name]}"), name)
