"""A finished run under attack: every model's numbers, kept in files, and the table of them.

Beside the run's own models, two that evade the measurement (:mod:`rurklib.attacks.evasive`) are
made from each Original, to see which attack or control catches them.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from rurklib import checks
from rurklib.attacks.evasive import EVASIVE
from rurklib.attacks.registry import ATTACKS, AttackSetting, attack
from rurklib.metrics.relearn import relearn_epochs
from rurklib.models import build
from rurklib.residual.controls import RETAINED, drawn
from rurklib.residual.spec import Measurement
from rurklib.residual.uncertainty import MIN_REFERENCES
from rurklib.samples import Pair, as_float
from rurklib.study import brought, files
from rurklib.study.ids import ModelId
from rurklib.study.memo import ARRAYS, fresh, key, memo
from rurklib.study.run import Run
from rurklib.study.stages.attack_tables import ATTACKS_FILE, FORGET, HELD_OUT, placement_table
from rurklib.study.stages.making import load_model
from rurklib.study.stages.measure import samples
from rurklib.study.stages.models import digests, load_models
from rurklib.study.stages.parallel import parallel

RELEARN = "re-learning"
OWN = {"steps": 30, "queries": 100, "share": 0.2}  # of AttackSetting
SETTINGS = {"draws": 30, "seed": 0, **OWN, "shots": 10, "most": 0}
Numbers = dict[str, dict[str, np.ndarray]]  # {attack: {part: [n]}}


def class_parts(run: Run, most: int = 0) -> dict[str, Pair]:
    """The samples that are asked about: forgotten, held out and retained ones of the class; of
    each at most ``most``, drawn at random, the same for all models (0: all)."""
    named = {FORGET: "forget", HELD_OUT: "held_out", RETAINED: "retain"}
    found = {name: samples(run, part) for name, part in named.items()}
    if checks.count("most", most, 0):
        found = {name: drawn(pair, most, seed=1) for name, pair in found.items()}
    return {name: pair for name, pair in found.items() if len(pair[0])}


def validation_of_class(run: Run, most: int | None = None) -> tuple[Tensor, Tensor]:
    """Samples of the forgotten class that nobody trained on and nothing is reported on."""
    x, y = run.validation
    at = torch.nonzero(run.split.of_class(y)).flatten()[:most]
    if not len(at):
        raise checks.InputError(
            f"{run.folder}: the validation part has no sample of {run.forgotten}; the few-shot "
            "attack needs some: give more test samples of it"
        )
    return x[at], y[at]


def evasive_model(run: Run, name: ModelId) -> nn.Module:
    """An evasive unlearner of a run: ("Noise-brittle", seed) or ("Damped", seed), which knows what
    the run's references show under noise, and aims there."""
    name = ModelId(*name)
    checks.one_of("evasive unlearner", name.method, EVASIVE)
    measured = Measurement(run.scenario.taus, bounds=run.data.bounds)
    original = load_model(run, ModelId("Original", name.seed))
    references = load_models(run, run.names("Re-train")).values()
    pairs = run.pair("retain"), run.pair("forget")
    return EVASIVE[name.method](original, *pairs, references, measured, seed=name.seed)


def attacked(
    run: Run, methods: Sequence[str] | None = None, **settings: Any
) -> tuple[dict[ModelId, Numbers], dict[ModelId, Numbers]]:
    """Numbers of all attacks for the models of ``methods`` (default: Original, the scenario's and
    the evasive ones) and for the re-trained references, by ModelId.

    ``settings``: ``draws`` and ``seed`` of noisy copies; steps, queries and share, as
    :class:`rurklib.attacks.AttackSetting` has them; ``shots``, how many samples the few-shot attack
    has; and ``most``, as :func:`class_parts` takes it. Each model's are a file in ``attacks/``; a
    finished one is read. Raises InputError for fewer than three references.
    """
    known = ["Original", *run.scenario.methods, *EVASIVE]
    chosen = known if methods is None else [checks.one_of("method", m, known) for m in methods]
    for name in settings:
        checks.one_of("setting of the attacks", name, SETTINGS)
    if run.scenario.references < MIN_REFERENCES:
        raise checks.InputError(
            f"{run.folder} has {run.scenario.references} re-trained models: expected "
            f"{MIN_REFERENCES} or more, for two can't show how much a third may differ; make a "
            "study of more, as with --set references=12"
        )
    s, settings = run.scenario, {**SETTINGS, **settings}  # naming a default is no other question
    draws, seed = settings.pop("draws"), settings.pop("seed")
    measured = Measurement(s.taus, s.perturbations[0], draws, seed, run.data.bounds)
    groups = [[n for m in chosen for n in run.names(m)], run.names("Re-train")]
    keys = _keys(run, [*groups[0], *groups[1]], {"measured": measured, **settings})
    todo = [n for n in keys if not fresh(_file(run, n), keys[n], ARRAYS)]
    if len(todo) < len(keys):
        print(f"{len(keys) - len(todo)} of {len(keys)} models are attacked already")
    tasks = [(_attack, (run, n, measured, settings, keys[n])) for n in todo]
    parallel(run, tasks, f"{len(todo)} models attacked")
    models, references = ({n: _read(run, n) for n in group} for group in groups)
    return models, references


def attack_table(
    run: Run, models: Mapping[ModelId, Numbers], references: Mapping[ModelId, Numbers]
) -> pd.DataFrame:
    """The attacks' table with columns scenario, method and seed; written to attacks.csv.

    A reference is compared about the same Original as the model is.
    """
    targets = {m: run.seeds.index(m.seed) for m in models}
    frame = placement_table(models, references, targets=targets)
    frame.insert(0, "scenario", run.scenario.name)
    frame.insert(3, "method", [m.method for m in frame.model])
    frame.insert(4, "seed", [m.seed for m in frame.model])
    frame = frame.drop(columns="model")
    numbers = frame.select_dtypes("float").columns
    frame[numbers] = frame[numbers].map(lambda v: float(f"{v:.5g}"))  # no more is known of any
    files.write_frame(run.folder / ATTACKS_FILE, frame)
    return frame


def _originals(run: Run, name: ModelId) -> list[ModelId]:
    """The Originals that a model is compared with: a reference with all, others with their own."""
    seeds = run.seeds if name.method == "Re-train" else (name.seed,)
    return [ModelId("Original", seed) for seed in seeds]


def _sources(run: Run, name: ModelId) -> dict[str, list[ModelId]]:
    """Whose copies a model is shown: the Originals that it is compared with, and a re-trained model
    other than itself."""
    others = [n for n in run.names("Re-train") if n != name]
    after = [n for n in others if n.seed > name.seed] if name.method == "Re-train" else others
    return {"Original": _originals(run, name), "Re-train": [(after or others)[0]]}


def _keys(run: Run, names: Sequence[ModelId], asked: Mapping[str, Any]) -> dict[ModelId, str]:
    """What each model's numbers depend on."""
    seen = digests(run, [*run.trained, *(n for n in names if n.method not in EVASIVE)])
    common = {"net": run.scenario.model, "split": run.split, **asked}
    common |= brought.code(run.scenario.model, run.scenario.perturbations[0], *ATTACKS)
    keys = {}
    for name in names:
        makers: list[Callable[..., Any]] = [build, attack, relearn_epochs]
        shown = _sources(run, name)
        parents = [*shown["Original"], *shown["Re-train"], name]
        if name.method in EVASIVE:
            makers.append(EVASIVE[name.method])
            parents[-1:] = run.names("Re-train")
        weights = {str(n): seen[n] for n in parents}
        keys[name] = key(makers, {"model": name, "weights": weights, **common})
    return keys


def _attack(
    run: Run, name: ModelId, measured: Measurement, settings: Mapping[str, Any], wanted: str
) -> str:
    """All attacks on one model; a method's is compared with the Original that it came from."""

    def numbers() -> dict[str, np.ndarray]:
        model = (evasive_model if name.method in EVASIVE else load_model)(run, name)
        originals = load_models(run, _originals(run, name))
        asked = class_parts(run, settings["most"])
        x = torch.cat([as_float(pair[0]) for pair in asked.values()])
        with torch.no_grad():
            targets = {str(seed): net(x) for (_, seed), net in originals.items()}
        own = {k: settings[k] for k in OWN}
        shots = validation_of_class(run, settings["shots"])
        pairs = run.pair("retain"), run.pair("test"), shots
        others = {k: [*load_models(run, its).values()] for k, its in _sources(run, name).items()}
        setting = AttackSetting(measured, targets, *pairs, **own, sources=others)
        found = attack(model, asked, setting)
        # Fewer epochs: better known. One number for the forget set, and no controls.
        epochs = [[-relearn_epochs(model, o, run.pair("forget"))] for o in originals.values()]
        found[RELEARN] = {FORGET: np.array(epochs, np.float64)}
        return {f"{a}|{part}": v for a, its in found.items() for part, v in its.items()}

    memo(_file(run, name), numbers, wanted, ARRAYS)
    return f"{name} attacked"


def _file(run: Run, name: ModelId) -> Path:
    return run.folder / "attacks" / f"{name}.npz"


def _read(run: Run, name: ModelId) -> Numbers:
    numbers: Numbers = {}
    for label, values in ARRAYS.load(_file(run, name))[0].items():
        its, part = label.split("|")
        numbers.setdefault(its, {})[part] = values
    return numbers
