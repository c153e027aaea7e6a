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
    "across": "study.stages.attack_tables",
    "attack_table": "study.stages.attack",
    "attacked": "study.stages.attack",
    "by_method": "study.stages.measure",
    "cheat": "study.stages.attack",
    "finite": "study.stages.models",
    "load_models": "study.stages.models",
    "measure": "study.stages.measure",
    "method_code": "study.stages.models",
    "mostly": "study.stages.attack_tables",
    "open_existing": "study.run",
    "open_run": "study.run",
    "outside": "study.stages.attack_tables",
    "parallel": "study.stages.parallel",
    "parts": "study.stages.attack",
    "read_tables": "study.stages.attack_tables",
    "residual": "study.stages.measure",
    "same_prior": "study.stages.models",
    "samples": "study.stages.measure",
    "save_figure": "study.report.saved",
    "shared_run": "study.stages.ablation",
    "smoothed": "study.stages.models",
    "spare_of_class": "study.stages.attack",
    "summarise": "study.stages.summary",
    "table": "study.stages.attack_tables",
    "train": "study.stages.models",
    "trials": "study.stages.trials",
    "tune": "study.stages.tune",
    "unlearn": "study.stages.models",
    "unlearned": "study.stages.models",
    "verdicts": "study.stages.measure",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"rurklib.{_HOMES[name]}"), name)
