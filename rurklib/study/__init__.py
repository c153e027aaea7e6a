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
    "FORGET": "rurklib.study.stages.attack",
    "HALVES": "rurklib.study.stages.attack",
    "HELD_OUT": "rurklib.study.stages.attack",
    "ModelId": "rurklib.study.ids",
    "ablate": "rurklib.study.stages.ablation",
    "attack_table": "rurklib.study.stages.attack",
    "attacked": "rurklib.study.stages.attack",
    "by_method": "rurklib.study.stages.measure",
    "catches": "rurklib.study.stages.attack",
    "class_parts": "rurklib.study.stages.attack",
    "compare_runs": "rurklib.study.stages.attack",
    "evasive_model": "rurklib.study.stages.attack",
    "finite": "rurklib.tensors",
    "load_models": "rurklib.study.stages.models",
    "majority": "rurklib.study.stages.attack",
    "measure": "rurklib.study.stages.measure",
    "memory": "rurklib.study.stages.doubts",
    "neighbourhoods": "rurklib.study.stages.doubts",
    "open_existing": "rurklib.study.run",
    "open_run": "rurklib.study.run",
    "parallel": "rurklib.study.stages.models",
    "placement_table": "rurklib.study.stages.attack",
    "read_tables": "rurklib.study.stages.attack",
    "residual": "rurklib.study.stages.measure",
    "same_prior": "rurklib.study.stages.models",
    "samples": "rurklib.study.stages.measure",
    "save_figure": "rurklib.study.report.pictures",
    "share_outside": "rurklib.study.stages.attack",
    "shared_run": "rurklib.study.stages.ablation",
    "smoothed": "rurklib.study.stages.models",
    "summarise": "rurklib.study.stages.summary",
    "tables": "rurklib.study.stages.tables",
    "telling_copies": "rurklib.study.stages.measure",
    "train": "rurklib.study.stages.models",
    "trials": "rurklib.study.stages.tune",
    "tune": "rurklib.study.stages.tune",
    "unlearn": "rurklib.study.stages.models",
    "unlearned": "rurklib.study.stages.models",
    "validation_of_class": "rurklib.study.stages.attack",
    "verdicts": "rurklib.study.stages.measure",
    "write_report": "rurklib.study.stages.report_page",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
