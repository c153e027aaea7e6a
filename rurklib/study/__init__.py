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
    "FORGET": "rurklib.study.attack",
    "HELD_OUT": "rurklib.study.attack",
    "ModelId": "rurklib.study.run",
    "ablate": "rurklib.study.ablation",
    "attack_table": "rurklib.study.attack",
    "attacked": "rurklib.study.attack",
    "by_method": "rurklib.study.measurement",
    "class_parts": "rurklib.study.attack",
    "compare_runs": "rurklib.study.attack",
    "evasive_model": "rurklib.study.attack",
    "finite": "rurklib.tensors",
    "load_models": "rurklib.study.models",
    "measure": "rurklib.study.measurement",
    "memory": "rurklib.study.doubts",
    "neighbourhoods": "rurklib.study.doubts",
    "open_existing": "rurklib.study.run",
    "open_run": "rurklib.study.run",
    "parallel": "rurklib.study.parallel",
    "placement_table": "rurklib.study.attack",
    "residual": "rurklib.study.measurement",
    "same_prior": "rurklib.study.models",
    "samples": "rurklib.study.measurement",
    "save_figure": "rurklib.study.pictures",
    "share_outside": "rurklib.study.attack",
    "shared_run": "rurklib.study.ablation",
    "smoothed": "rurklib.study.models",
    "summarise": "rurklib.study.summary",
    "tables": "rurklib.study.report",
    "telling_copies": "rurklib.study.measurement",
    "train": "rurklib.study.models",
    "trials": "rurklib.study.tuning",
    "tune": "rurklib.study.tuning",
    "unlearn": "rurklib.study.models",
    "unlearned": "rurklib.study.models",
    "validation_of_class": "rurklib.study.attack",
    "verdicts": "rurklib.study.measurement",
    "write_report": "rurklib.study.report",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
