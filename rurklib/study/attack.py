"""A finished run under attack: every model's numbers, kept in files, and the tables of them.

Beside the run's own models, one that evades the measurement (:mod:`rurklib.evasive`) is made from
each Original, to see which attack or control catches it.

Statistics of an attack's numbers in the tables:

- ``level``: their mean over the forget samples;
- ``auc``, and ``tpr`` at a false positive rate of 1 %: forget samples against held-out samples of
  the class, by the number alone: what anyone can do who has the model;
- ``calibrated auc`` and ``calibrated tpr``: the same after each sample's mean over re-trained
  models was taken off, which says how hard the sample is: what one can do who can train such models
  (as LiRA's attacker can).

The last two are about memory alone: what lifts all samples of the class cancels. Scenarios differ
in classes, sizes and radii, so values don't compare between them; ``t``, the distance in standard
deviations of a further re-trained model, and counts of seeds outside do.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from rurklib import checks
from rurklib.attacks import ATTACKS, AttackSetting, attack
from rurklib.evasive import EVASIVE
from rurklib.metrics.lira import membership
from rurklib.residual import ResidualKnowledge
from rurklib.residual.controls import HELD_OUT, RETAINED, drawn
from rurklib.residual.counts import Measurement
from rurklib.residual.statistics import MIN_REFERENCES, p_value, predict, spread
from rurklib.study import extend, store
from rurklib.study.measurement import SIDES, by_p, samples
from rurklib.study.models import checksums, load_model, load_models
from rurklib.study.parallel import parallel
from rurklib.study.run import ModelId, Run
from rurklib.tensors import Pair, as_float

ATTACKS_FILE = "attacks.csv"  # a run's table
FORGET = "forget set"
KEYS = ["scenario", "attack", "statistic", "method"]
NEEDED = (*KEYS, "seed", "value", "reference", "predict_low", "predict_high", "t", "finding")
OUTSIDE = ["above", "below"]
HALVES = {"level": "on the forget set", "calibrated auc": "forget against held-out"}
OWN = {"steps": 30, "share": 0.2}  # of AttackSetting
SETTINGS = {"draws": 30, "seed": 0, **OWN, "shots": 10, "most": 0}
Numbers = dict[str, dict[str, np.ndarray]]  # {attack: {part: [n]}}
Scores = Mapping[str, Mapping[str, np.ndarray]]


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
    """An evasive unlearner of a run, such as ("Noise-brittle", seed), which knows what the run's
    references show under noise, and aims there."""
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

    ``settings``: ``draws`` and ``seed`` of noisy copies; steps and share, as
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
    todo = [n for n in keys if store.find(_file(run, n), store.key("attack", keys[n])) is None]
    if len(todo) < len(keys):
        print(f"{len(keys) - len(todo)} of {len(keys)} models are attacked already")
    tasks = [(_attack_one, (run, n, measured, settings, keys[n])) for n in todo]
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
    store.write_frame(run.folder / ATTACKS_FILE, frame)
    return frame


def _originals(run: Run, name: ModelId) -> list[ModelId]:
    """The Originals that a model is compared with: a reference with all, others with their own."""
    seeds = run.seeds if name.method == "Re-train" else (name.seed,)
    return [ModelId("Original", seed) for seed in seeds]


def _keys(run: Run, names: Sequence[ModelId], asked: Mapping[str, Any]) -> dict[ModelId, Any]:
    """What each model's numbers depend on."""
    seen = checksums(run, [*run.trained, *(n for n in names if n.method not in EVASIVE)])
    common = {"net": run.scenario.model, "split": run.split, **asked}
    common |= extend.code(run.scenario.model, run.scenario.perturbations[0], *ATTACKS)
    keys = {}
    for name in names:
        parents = [*_originals(run, name), name]
        if name.method in EVASIVE:
            parents[-1:] = run.names("Re-train")
        weights = {str(n): seen[n] for n in parents}
        keys[name] = {"model": name, "weights": weights, **common}
    return keys


def _attack_one(
    run: Run,
    name: ModelId,
    measured: Measurement,
    settings: Mapping[str, Any],
    inputs: Mapping[str, Any],
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
        found = attack(model, asked, AttackSetting(measured, targets, shots, **own))
        return {f"{a}|{part}": v for a, its in found.items() for part, v in its.items()}

    store.make(_file(run, name), "attack", inputs, numbers)
    return f"{name} attacked"


def _file(run: Run, name: ModelId) -> Path:
    return run.folder / "attacks" / f"{name}.npz"


def _read(run: Run, name: ModelId) -> Numbers:
    numbers: Numbers = {}
    for label, values in store.read(_file(run, name))[0].items():
        its, part = label.split("|")
        numbers.setdefault(its, {})[part] = values
    return numbers


class Placement(NamedTuple):
    """A number, the references' mean and the 95 % prediction for a new one, how far the number
    is from that mean in standard deviations of the prediction (``t``), its two-sided p, and the
    ``finding``: one of ``SIDES``, or "" where it can't be said.
    """

    value: float
    reference: float
    predict_low: float
    predict_high: float
    t: float
    p: float
    finding: str


def placement(
    value: float, references: Sequence[float] | np.ndarray, *, left_out: bool = False
) -> Placement:
    """Place a number among those of K references, each computed as the number was.

    ``left_out``: the statistic takes the references' mean off, as calibration does; that of a
    reference is off the mean of the *other* references, and varies more by K / (K - 1). NaN
    with fewer than three references, if a number isn't finite, and where references don't vary.
    """
    others = np.asarray(references, np.float64)
    mean = float(others.mean()) if others.size else math.nan
    known = math.isfinite(value) and len(others) >= MIN_REFERENCES
    if not known or not np.isfinite(others).all():
        return Placement(float(value), mean, math.nan, math.nan, math.nan, math.nan, "")
    if left_out:
        others = mean + (others - mean) * (len(others) - 1) / len(others)
    low, high = map(float, predict(others))
    t = (value - mean) / float(spread(others))
    p = float(p_value(np.array(value), others))
    return Placement(float(value), mean, low, high, t, p, by_p(value - mean, p))


def placement_table(
    models: Mapping[Any, Scores],
    references: Mapping[Any, Scores],
    *,
    targets: Mapping[Any, int] | None = None,
) -> pd.DataFrame:
    """Columns attack, statistic, model, low, high, and those of ``Placement``.

    ``models`` and ``references`` are by name what :func:`rurklib.attacks.attack` returns, with the
    parts "forget set" and "held out". Where numbers are [targets, n], ``targets`` says which a
    model is about; references are then taken about the same. A statistic of a reference looks at
    the *other* references. ``low`` and ``high`` are 95 % intervals over samples, NaN for a level.
    """
    if len(references) < 2:
        raise checks.InputError(f"{len(references)} references: expected two or more")
    rows, nulls = [], {}
    for name, its in models.items():
        at = (targets or {}).get(name, 0)
        for what, own in its.items():
            other = [_about(r[what], at) for r in references.values()]
            if (what, at) not in nulls:  # it is the same for all models
                nulls[what, at] = [
                    _statistics(r, other[:k] + other[k + 1 :]) for k, r in enumerate(other)
                ]
            for statistic, (value, low, high) in _statistics(_about(own, at), other).items():
                null = [n[statistic][0] for n in nulls[what, at]]
                place = placement(value, null, left_out=statistic == "calibrated auc")
                row = {"attack": what, "statistic": statistic, "model": name, "low": low}
                rows.append({**row, "high": high, **place._asdict()})
    return pd.DataFrame(rows)


def _about(numbers: Mapping[str, np.ndarray], target: int) -> dict[str, np.ndarray]:
    return {
        part: v if v.ndim == 1 else v[target if len(v) > 1 else 0] for part, v in numbers.items()
    }


def _statistics(
    own: Mapping[str, np.ndarray], others: list[dict[str, np.ndarray]]
) -> dict[str, tuple[float, float, float]]:
    """Value and interval of every statistic of one model, seen from some references."""
    found = {"level": (float(own[FORGET].mean()), np.nan, np.nan)}
    if HELD_OUT not in own:
        return found
    usual = {p: np.mean([o[p] for o in others], axis=0) for p in (FORGET, HELD_OUT)}
    for kind, off in (("", dict.fromkeys(usual, 0.0)), ("calibrated ", usual)):
        m = membership(own[FORGET] - off[FORGET], own[HELD_OUT] - off[HELD_OUT])
        found[f"{kind}auc"] = (m.auc, m.auc_low, m.auc_high)
        found[f"{kind}tpr"] = (m.tpr, m.tpr_low, m.tpr_high)
    return found


def read_tables(folders: Sequence[str | Path]) -> tuple[dict[str, pd.DataFrame], list[Path]]:
    """Tables of attacked runs by name, and the folders that have none.

    The name is the scenario's, or the folder's where that name is taken by another one. Raises
    InputError for a table that lacks a column or has no row.
    """
    found: dict[str, pd.DataFrame] = {}
    missing = []
    for folder in map(Path, folders):
        path = folder / ATTACKS_FILE
        if not path.exists():
            missing.append(folder)
            continue
        frame = pd.read_csv(path)
        lacking = [c for c in NEEDED if c not in frame.columns]
        if lacking or frame.empty:
            why = f"no column {lacking[0]!r}" if lacking else "no row"
            raise checks.InputError(f"{path} has {why}: make it again with notebook 7")
        name = str(frame.scenario.iloc[0])
        found[next(n for n in (name, folder.name, str(folder)) if n not in found)] = frame
    return found, missing


def compare_runs(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """A row per scenario, attack, statistic and method, in the order of the tables.

    Columns: ``seeds``; ``value``, their mean, ``least`` and ``most``; ``reference``,
    ``predict_low`` and ``predict_high``, where re-trained models are and a further one would be
    (means, for the mapping attack's depend on the seed's Original); ``t``, a mean; ``above`` and
    ``below``, how many seeds are outside; ``known``, of how many it can be said.
    """
    if not tables:
        raise checks.InputError("no tables: expected those of one run or more")
    whole = pd.concat([t.assign(scenario=name) for name, t in tables.items()], ignore_index=True)
    whole["known"] = whole.finding.isin(SIDES)
    whole[OUTSIDE] = np.column_stack([whole.finding == side for side in OUTSIDE])
    means = {c: (c, "mean") for c in ("value", "reference", "predict_low", "predict_high", "t")}
    columns = {"seeds": ("seed", "size"), "value": means.pop("value"), "least": ("value", "min"),
               "most": ("value", "max"), **means,
               **{c: (c, "sum") for c in (*OUTSIDE, "known")}}  # fmt: skip
    return whole.groupby(KEYS, sort=False).agg(**columns).reset_index()


def share_outside(cells: pd.DataFrame) -> pd.DataFrame:
    """How much of all that was tried is outside: a row per scenario, statistic and method.

    ``cells`` as :func:`compare_runs` gives them. ``attacks``: of how many something can be said;
    ``above`` and ``below``: shares of attacks x seeds. One in twenty is outside by chance, above
    and below together.
    """
    known = cells[cells.known > 0]
    columns = {"attacks": ("attack", "nunique"), **{c: (c, "sum") for c in (*OUTSIDE, "known")}}
    found = known.groupby(["scenario", "statistic", "method"], sort=False).agg(**columns)
    found[OUTSIDE] = found[OUTSIDE].div(found.known, axis=0)
    return found.drop(columns="known").reset_index()


def majority(cells: pd.DataFrame) -> pd.Series:
    """What most seeds of each cell say: "above", "below", "inside", or "" if nothing is known."""
    found = pd.Series("inside", index=cells.index)
    for side in OUTSIDE:
        found[2 * cells[side] > cells.known] = side
    found[cells.known == 0] = ""
    return found


def catches(measured: ResidualKnowledge, table: pd.DataFrame) -> pd.DataFrame:
    """Which question catches which model: question, method, seed, caught. Asked are the largest
    tau, the verdict and those on controls, and each attack of a run's ``table``."""
    rows = []
    for name in measured.models:
        p_values = {"ratio at the largest tau": measured.rows(name).p_value.iloc[-1]}
        p_values["verdict"] = measured.judge(name).p
        for part, result in measured.control_results.items():
            p_values[f"verdict on {part} samples"] = result.judge(name).p
        rows += [(question, *name, p < 0.05) for question, p in p_values.items()]
    methods = {method for method, _ in measured.models}
    tried = table[table.method.isin(methods) & table.statistic.isin(HALVES) & (table.finding != "")]
    rows += [
        (f"{r.attack}, {HALVES[r.statistic]}", r.method, r.seed, r.finding in OUTSIDE)
        for r in tried.itertuples()
    ]
    return pd.DataFrame(rows, columns=["question", "method", "seed", "caught"])
