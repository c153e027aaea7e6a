"""A finished run under attack: every model's numbers, kept in files, and the table of them.

Beside the run's own models, two that cheat (:mod:`rurklib.attacks.evasive`) are made from each
Original, to see which attack or control catches them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from rurklib import attacks, checks, metrics
from rurklib.attacks import evasive
from rurklib.attacks.evasive import EVASIVE
from rurklib.residual.controls import RETAINED, drawn
from rurklib.residual.spec import Measurement
from rurklib.samples import as_float
from rurklib.study import files, memo
from rurklib.study.run import Name, Run
from rurklib.study.stages.attack_tables import ATTACKS_FILE, FORGET, HELD_OUT, placement_table
from rurklib.study.stages.measure import samples
from rurklib.study.stages.models import load_models
from rurklib.study.stages.parallel import parallel

RELEARN = "re-learning"
SETTINGS = {
    "draws": 30,
    "steps": 30,
    "queries": 100,
    "share": 0.2,
    "seed": 0,
    "shots": 10,
    "most": 0,
}
CODE = ("attacks", "metrics", "perturb", "residual", "models", "train", "rng", "model_state")
Numbers = dict[str, dict[str, np.ndarray]]  # {attack: {part: [n]}}


def class_parts(run: Run, most: int = 0) -> dict[str, tuple[Tensor, Tensor]]:
    """The samples that are asked about: forgotten, held out and retained ones of the class; of
    each at most ``most``, drawn at random, the same for all models (0: all)."""
    named = {FORGET: "forget", HELD_OUT: "held_out", RETAINED: "retain"}
    found = {name: samples(run, part) for name, part in named.items()}
    if checks.count("most", most, 0):
        found = {name: drawn(pair, most, seed=1) for name, pair in found.items()}
    return {name: pair for name, pair in found.items() if len(pair[0])}


def validation_of_class(run: Run, most: int | None = None) -> tuple[Tensor, Tensor]:
    """Samples of the forgotten class that nobody trained on and nothing is reported on."""
    x, y = run.spare
    at = torch.nonzero(run.split.of_class(y)).flatten()[:most]
    if not len(at):
        raise checks.InputError(
            f"{run.folder}: the validation part has no sample of {run.forgotten}; the few-shot "
            "attack needs some: give more test samples of it"
        )
    return x[at], y[at]


def evasive_model(run: Run, name: Name, **options: Any) -> nn.Module:
    """A cheating unlearner of a run: ("Noise-brittle", seed) or ("Damped", seed), which knows what
    the run's references show under noise, and aims there."""
    checks.one_of("evasive unlearner", name[0], EVASIVE)
    original = load_models(run, [("Original", name[1])])["Original", name[1]]
    shared = {"taus": run.scenario.taus, "seed": name[1], "bounds": run.data.bounds, **options}
    forget = run.pair("forget")
    noisy = partial(
        evasive.noisy_level, pair=forget, taus=run.scenario.taus, bounds=run.data.bounds
    )
    references = load_models(run, run.names("Re-train")).values()
    goal = np.mean([noisy(r) for r in references], axis=0)
    if name[0] == "Damped":
        return evasive.logit_damped(original, forget, goal, **shared)
    return evasive.noise_brittle(original, run.pair("retain"), forget, goal, **shared)


def attacked(
    run: Run, methods: Sequence[str] | None = None, **settings: Any
) -> tuple[dict[str, Numbers], dict[str, Numbers]]:
    """Numbers of all attacks for the models of ``methods`` (default: Original, the scenario's and
    the cheats) and for the re-trained references, by label ("GD-seed0").

    ``settings``: ``draws`` and ``seed`` of noisy copies; steps, queries and share, as
    :class:`rurklib.attacks.AttackSetting` has them; ``shots``, how many samples the few-shot attack
    has; and ``most``, as :func:`class_parts` takes it. Each model's are a file in ``attacks/``; a
    finished one is read.
    """
    chosen = ["Original", *run.scenario.methods, *EVASIVE] if methods is None else list(methods)
    for method in chosen:
        checks.one_of("method", method, ["Original", *run.scenario.methods, *EVASIVE])
    for name in settings:
        checks.one_of("setting of the attacks", name, SETTINGS)
    settings = {**SETTINGS, **settings}  # naming a default is no other question
    groups = [[n for m in chosen for n in run.names(m)], run.names("Re-train")]
    common = memo.fingerprint(
        trained={_label(n): d for n, d in _digests(run, run.trained).items()},
        split=run.split.digest,
        noise=[run.scenario.perturbations[0], *run.scenario.taus],
        settings=settings,
        code=memo.code(*CODE),
        torch=torch.__version__,
        device=run.device.type,
    )
    known = [n for n in (*groups[0], *groups[1]) if n[0] not in EVASIVE]
    prints = {n: memo.fingerprint(common=common, weights=d)
              for n, d in _digests(run, known).items()}  # fmt: skip
    prints |= {n: memo.fingerprint(common=common, cheat=n) for n in groups[0] if n[0] in EVASIVE}
    todo = [n for n in prints if not _done(run, n, prints[n])]
    if len(todo) < len(prints):
        print(f"{len(prints) - len(todo)} of {len(prints)} models are attacked already")
    tasks = [(_attack, (run, n, settings, prints[n])) for n in todo]
    parallel(run, tasks, f"{len(todo)} models attacked")
    models, references = ({_label(n): _read(run, n) for n in group} for group in groups)
    return models, references


def attack_table(
    run: Run, models: Mapping[str, Numbers], references: Mapping[str, Numbers]
) -> pd.DataFrame:
    """The attacks' table with columns scenario, method and seed; written to attacks.csv.

    A reference is compared about the same Original as the model is.
    """
    seeds = {m: int(m.rsplit("-seed", 1)[1]) for m in models}
    frame = placement_table(
        models, references, targets={m: run.seeds.index(s) for m, s in seeds.items()}
    )
    frame.insert(0, "scenario", run.scenario.name)
    frame.insert(3, "method", [m.rsplit("-seed", 1)[0] for m in frame.model])
    frame.insert(4, "seed", frame.model.map(seeds))
    frame = frame.drop(columns="model")
    numbers = frame.select_dtypes("float").columns
    frame[numbers] = frame[numbers].map(lambda v: float(f"{v:.5g}"))  # no more is known of any
    files.write_frame(run.folder / ATTACKS_FILE, frame)
    return frame


def _attack(run: Run, name: Name, settings: Mapping[str, Any], fingerprint: str) -> str:
    """All attacks on one model; a method's is compared with the Original that it came from."""
    began = time.perf_counter()
    model = evasive_model(run, name) if name[0] in EVASIVE else load_models(run, [name])[name]
    about = run.seeds if name[0] == "Re-train" else (name[1],)
    originals = {s: load_models(run, [("Original", s)])["Original", s] for s in about}
    asked = class_parts(run, settings["most"])
    x = torch.cat([as_float(p[0]) for p in asked.values()])
    with torch.inference_mode():
        targets = {str(s): o(x) for s, o in originals.items()}
    setting = attacks.AttackSetting(
        Measurement(
            run.scenario.taus, run.scenario.perturbations[0], settings["draws"], settings["seed"],
            run.data.bounds,
        ),
        targets={k: t.clone() for k, t in targets.items()},
        retain=run.pair("retain"),
        test=run.pair("test"),
        shots=validation_of_class(run, settings["shots"]),
        **{k: settings[k] for k in ("steps", "queries", "share")},
    )  # fmt: skip
    found = attacks.attack(model, asked, setting)
    # Fewer epochs: better known. One number for the forget set, and no controls.
    epochs = [[-metrics.relearn_epochs(model, o, run.pair("forget"))] for o in originals.values()]
    found[RELEARN] = {FORGET: np.array(epochs, np.float64)}
    arrays = {f"{a}|{p}": v for a, its in found.items() for p, v in its.items()}
    files.save_arrays(_file(run, name), arrays, fingerprint)
    return f"{_label(name)} attacked: {time.perf_counter() - began:.1f} s"


def _digests(run: Run, names: Sequence[Name]) -> dict[Name, str]:
    nets = load_models(run, names)
    return {n: files.weights_digest(net.state_dict()) for n, net in nets.items()}


def _label(name: Name) -> str:
    return f"{name[0]}-seed{name[1]}"


def _file(run: Run, name: Name) -> Path:
    return run.folder / "attacks" / f"{_label(name)}.npz"


def _done(run: Run, name: Name, fingerprint: str) -> bool:
    path = _file(run, name)
    return path.exists() and files.load_arrays(path)[1] == fingerprint


def _read(run: Run, name: Name) -> Numbers:
    numbers: Numbers = {}
    for key, values in files.load_arrays(_file(run, name))[0].items():
        attack, part = key.split("|")
        numbers.setdefault(attack, {})[part] = values
    return numbers
