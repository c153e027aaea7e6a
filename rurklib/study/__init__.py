"""The stages of a study: train -> unlearn -> measure, each resumed where it stopped.

Each stage makes what is missing, skips what is there with the right fingerprint, and hands plain
objects to the next:

    run = open_run("digits", "runs/digits", seeds=[0, 1, 2])
    models = train(run) | unlearn(run)
    frame = measure(run)
"""

import lazy_loader

_NAMES = {
    "ablation": "ablate shared_run",
    "attack": "FORGET HELD_OUT attack_table attacked class_parts compare_runs evasive_model "
    "placement_table share_outside validation_of_class",
    "doubts": "memory neighbourhoods",
    "measurement": "by_method measure residual samples telling_copies verdicts",
    "models": "load_models same_prior smoothed train unlearn",
    "report": "tables write_report",
    "run": "open_existing open_run",
    "summary": "summarise",
    "tuning": "trials",
}
__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, submod_attrs={module: names.split() for module, names in _NAMES.items()}
)
