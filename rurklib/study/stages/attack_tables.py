"""Attacks in tables: of one run, a row for every statistic and model; of several runs, one table.

Statistics of an attack's numbers:

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

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rurklib.checks import InputError
from rurklib.metrics.membership import membership
from rurklib.residual.controls import HELD_OUT
from rurklib.residual.placement import SIDES, placement

ATTACKS_FILE = "attacks.csv"  # a run's table
KEYS = ["scenario", "attack", "statistic", "method"]
NEEDED = (*KEYS, "seed", "value", "reference", "predict_low", "predict_high", "t", "finding")
OUTSIDE = ["above", "below"]
FORGET = "forget set"
Scores = Mapping[str, Mapping[str, np.ndarray]]  # {attack: {part: [n]}}


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
        raise InputError(f"{len(references)} references: expected two or more to compare with")
    rows, nulls = [], {}
    for name, its in models.items():
        at = (targets or {}).get(name, 0)
        for attack, own in its.items():
            other = [_about(r[attack], at) for r in references.values()]
            if (attack, at) not in nulls:  # it is the same for all models
                nulls[attack, at] = [
                    _statistics(r, other[:k] + other[k + 1 :]) for k, r in enumerate(other)
                ]
            for statistic, (value, low, high) in _statistics(_about(own, at), other).items():
                null = [n[statistic][0] for n in nulls[attack, at]]
                place = placement(value, null, left_out=statistic == "calibrated auc")
                row = {"attack": attack, "statistic": statistic, "model": name, "low": low}
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
            raise InputError(f"{path} has {why}: make it again with rurk attack")
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
        raise InputError("no tables: expected those of one run or more")
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
