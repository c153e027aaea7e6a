"""A finished run under attack: every model's numbers, kept in files, and the tables of them.

An attack's statistics:

- ``level``: its mean over the forget samples;
- ``auc``, and ``tpr`` at a false positive rate of 1 %: forget against held-out samples of the
  class, as anyone can tell them apart who has the model;
- ``calibrated auc`` and ``calibrated tpr``: the same less each sample's mean over re-trained
  models, as who trains such models can (LiRA). What lifts all samples of the class cancels.

Scenarios differ in classes, sizes and radii: ``t`` and the finding compare, and values don't.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from rurklib import checks
from rurklib.attacks import ATTACKS, AttackSetting, attack
from rurklib.evasive import EVASIVE
from rurklib.metrics.lira import membership
from rurklib.residual.controls import HELD_OUT, drawn
from rurklib.residual.counts import Measurement
from rurklib.residual.statistics import MIN_REFERENCES, p_value, predict, spread
from rurklib.study import extend, store
from rurklib.study.measurement import CONTROLS, SIDES, by_p, samples
from rurklib.study.models import checksums, load_model, load_models
from rurklib.study.parallel import parallel
from rurklib.study.run import ModelId, Run
from rurklib.tensors import Pair, as_float

FORGET = "forget set"
Numbers = Mapping[str, Mapping[str, np.ndarray]]  # {attack: {part: [n] or [targets, n]}}


def class_parts(run: Run, most: int = 0) -> dict[str, Pair]:
    """Forgotten, held-out and retained samples of the class; of each at most ``most``, drawn at
    random, the same for all models (0: all)."""
    parts = {FORGET: "forget", **CONTROLS}
    pairs = {name: samples(run, part) for name, part in parts.items()}
    if checks.count("most", most, 0):
        pairs = {name: drawn(pair, most, seed=1) for name, pair in pairs.items()}
    return {name: pair for name, pair in pairs.items() if len(pair[0])}


def validation_of_class(run: Run, most: int) -> Pair:
    """Samples of the forgotten class that no model trained on and nothing is reported on."""
    x, y = run.validation
    same = run.split.of_class(y)
    return x[same][:most], y[same][:most]


def evasive_model(run: Run, name: ModelId) -> nn.Module:
    """An evasive unlearner of a run, such as ("Noise-brittle", seed), which knows what the run's
    references show under noise, and aims there."""
    method, seed = name
    checks.one_of("evasive unlearner", method, EVASIVE)
    measured = Measurement(run.scenario.taus, bounds=run.data.bounds)
    original = load_model(run, ModelId("Original", seed))
    references = load_models(run, run.names("Re-train")).values()
    pairs = run.pair("retain"), run.pair("forget")
    return EVASIVE[method](original, *pairs, references, measured, seed=seed)


def attacked(
    run: Run,
    methods: Sequence[str],
    *,
    draws: int = 30,
    steps: int = 30,
    shots: int = 10,
    most: int = 0,
) -> tuple[dict[ModelId, Numbers], dict[ModelId, Numbers]]:
    """Numbers of all attacks, by ModelId: of the models of ``methods`` (Original, the scenario's
    and those of :mod:`rurklib.evasive`) and of the re-trained references.

    ``draws`` of noisy copies; ``steps`` of a search; ``shots``, samples of the few-shot attack;
    ``most`` as in :func:`class_parts`. Each model's numbers are a file in ``attacks/``.
    Raises InputError for fewer than three references: two don't show how much a third may differ.
    """
    scenario = run.scenario
    checks.count("references", scenario.references, MIN_REFERENCES)
    for method in methods:
        checks.one_of("method", method, ["Original", *scenario.methods, *EVASIVE])
    names, references = [n for m in methods for n in run.names(m)], run.names("Re-train")
    load_models(run, [*run.trained, *(n for n in names if n.method not in EVASIVE)])
    perturbation, bounds = scenario.perturbations[0], run.data.bounds
    measured = Measurement(scenario.taus, perturbation, draws, bounds=bounds)
    settings = {"steps": steps, "shots": shots, "most": most}
    everyone = [*names, *references]
    tasks = [(_attack_one, (run, name, measured, settings)) for name in everyone]
    numbers = dict(zip(everyone, parallel(run, tasks, "models attacked"), strict=True))
    return {n: numbers[n] for n in names}, {n: numbers[n] for n in references}


def _attack_one(
    run: Run, name: ModelId, measured: Measurement, settings: Mapping[str, Any]
) -> Numbers:
    """All attacks on one model, about the Original that it came from; a reference, about all."""
    evasive = name.method in EVASIVE
    seeds = run.seeds if name.method == "Re-train" else [name.seed]
    originals = [ModelId("Original", seed) for seed in seeds]
    parts = class_parts(run, settings["most"])
    inputs = {
        "model": name,
        "weights": checksums(run, [*originals, *(run.names("Re-train") if evasive else [name])]),
        "net": run.scenario.model,
        "split": run.split,
        "measured": measured,
        "share": AttackSetting.share,
        **settings,
        **extend.code(run.scenario.model, measured.perturbation, *ATTACKS),
    }

    def make() -> dict[str, np.ndarray]:
        x = torch.cat([as_float(x) for x, _ in parts.values()])
        with torch.no_grad():
            targets = {str(n.seed): net(x) for n, net in load_models(run, originals).items()}
        shots = validation_of_class(run, settings["shots"])
        setting = AttackSetting(measured, targets, shots, settings["steps"])
        model = evasive_model(run, name) if evasive else load_model(run, name)
        found = attack(model, parts, setting)
        return {f"{a}|{part}": v for a, by_part in found.items() for part, v in by_part.items()}

    found = store.make(run.folder / "attacks" / f"{name}.npz", "attack", inputs, make)
    return {a: {part: found[f"{a}|{part}"] for part in parts} for a in ATTACKS}


def attack_table(
    run: Run, models: Mapping[ModelId, Numbers], references: Mapping[ModelId, Numbers]
) -> pd.DataFrame:
    """:func:`placement_table` with columns scenario, method and seed; written to attacks.csv.
    References are taken about the model's own Original."""
    targets = {name: run.seeds.index(name.seed) for name in models}
    frame = placement_table(models, references, targets=targets)
    frame.insert(0, "scenario", run.scenario.name)
    for at, column in enumerate(ModelId._fields, 3):
        frame.insert(at, column, [getattr(name, column) for name in frame.model])
    frame = frame.drop(columns="model")
    floats = frame.select_dtypes("float").columns
    frame[floats] = frame[floats].map(lambda v: float(f"{v:.5g}"))  # no more is known of any
    store.write_frame(run.folder / "attacks.csv", frame)
    return frame


def placement(
    value: float, references: Sequence[float], *, left_out: bool = False
) -> dict[str, Any]:
    """Place a number among those of K references, each computed as the number was.

    ``reference``, their mean; ``predict_low`` and ``predict_high``, between which 95 % of further
    ones are expected; ``t``, the distance from the mean in standard deviations of the prediction;
    two-sided ``p``; ``finding``, one of ``SIDES``. NaN and "" with fewer than three references, or
    where these don't vary.

    ``left_out``: the statistic takes the references' mean off, as calibration does; that of a
    reference is off the mean of the *other* references, and varies more by K / (K - 1).
    """
    null = np.asarray(references, np.float64)
    mean, k = null.mean(), len(null)
    if left_out:
        null = mean + (null - mean) * (k - 1) / k
    low, high = predict(null)
    p = float(p_value(np.array(value), null))
    return {
        "value": value,
        "reference": mean,
        "predict_low": low,
        "predict_high": high,
        "t": (value - mean) / spread(null),
        "p": p,
        "finding": by_p(value - mean, p),
    }


def placement_table(
    models: Mapping[Any, Numbers],
    references: Mapping[Any, Numbers],
    *,
    targets: Mapping[Any, int] | None = None,
) -> pd.DataFrame:
    """Columns attack, statistic, model, low, high, and those of :func:`placement`.

    ``models`` and ``references`` are by name what :func:`rurklib.attacks.attack` returns, with the
    parts "forget set" and "held out". Of references' numbers [targets, n] those are taken about
    the model's target (``targets``). A statistic of a reference looks at the *other* references.
    ``low`` and ``high`` are 95 % intervals over samples, NaN for a level.
    """
    rows, nulls = [], {}
    for name, numbers in models.items():
        target = (targets or {}).get(name, 0)
        for what, found in numbers.items():
            null = [
                {part: v[target] if v.ndim == 2 else v for part, v in r[what].items()}
                for r in references.values()
            ]
            if (what, target) not in nulls:  # the same for all models
                rest = [null[:k] + null[k + 1 :] for k in range(len(null))]
                nulls[what, target] = list(map(_statistics, null, rest))
            for statistic, (value, low, high) in _statistics(found, null).items():
                values = [row[statistic][0] for row in nulls[what, target]]
                place = placement(value, values, left_out=statistic == "calibrated auc")
                row = {"attack": what, "statistic": statistic, "model": name}
                rows.append({**row, "low": low, "high": high, **place})
    return pd.DataFrame(rows)


def _statistics(
    numbers: Mapping[str, np.ndarray], references: Sequence[Mapping[str, np.ndarray]]
) -> dict[str, tuple[float, float, float]]:
    """Value and interval of every statistic of one model, seen from some references."""
    pair = [numbers[part] for part in (FORGET, HELD_OUT)]
    hardness = [np.mean([r[part] for r in references], axis=0) for part in (FORGET, HELD_OUT)]
    found = {"level": (float(pair[0].mean()), np.nan, np.nan)}
    for kind, sides in (("", pair), ("calibrated ", map(np.subtract, pair, hardness))):
        m = membership(*sides)
        found[f"{kind}auc"] = (m.auc, m.auc_low, m.auc_high)
        found[f"{kind}tpr"] = (m.tpr, m.tpr_low, m.tpr_high)
    return found


def compare_runs(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """A row per scenario, attack, statistic and method of attack tables by name, in their order.

    Means over ``seeds``, and ``least`` and ``most`` of the value; how many seeds are ``above`` and
    ``below``, and of how many it is ``known``.
    """
    rows = pd.concat([t.assign(scenario=name) for name, t in tables.items()], ignore_index=True)
    rows["known"] = rows.finding.isin(SIDES)
    rows["above"], rows["below"] = rows.finding == "above", rows.finding == "below"
    columns = {"seeds": ("seed", "size"), "value": ("value", "mean")}
    columns |= {"least": ("value", "min"), "most": ("value", "max")}
    columns |= {c: (c, "mean") for c in ("reference", "predict_low", "predict_high", "t")}
    columns |= {c: (c, "sum") for c in ("above", "below", "known")}
    keys = ["scenario", "attack", "statistic", "method"]
    return rows.groupby(keys, sort=False).agg(**columns).reset_index()


def share_outside(cells: pd.DataFrame) -> pd.DataFrame:
    """How much of :func:`compare_runs` is outside: a row per scenario, statistic and method.

    ``attacks``: of how many something is known; ``above`` and ``below``: shares of attacks x seeds.
    One in twenty is outside by chance, above and below together.
    """
    known = cells[cells.known > 0].groupby(["scenario", "statistic", "method"], sort=False)
    found = known[["above", "below", "known"]].sum()
    shares = found[["above", "below"]].div(found.known, axis=0)
    shares.insert(0, "attacks", known.size())
    return shares.reset_index()
