"""One row for every attack, statistic and model: its number, and where re-trained models have it.

Statistics of an attack's numbers:

- ``level``: their mean over the forget samples;
- ``auc``, and ``tpr`` at a false positive rate of 1 %: forget samples against held-out samples of
  the class, by the number alone: what anyone can do who has the model;
- ``calibrated auc`` and ``calibrated tpr``: the same after each sample's mean over re-trained
  models was taken off, which says how hard the sample is: what one can do who can train such models
  (as LiRA's attacker can).

The last two are about memory alone: what lifts all samples of the class cancels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from rurklib import check
from rurklib.attacks.membership import Membership, membership
from rurklib.attacks.standing import standing

Scores = Mapping[str, Mapping[str, np.ndarray]]  # {attack: {part: [n]}}
STATISTICS = ("level", "auc", "tpr", "calibrated auc", "calibrated tpr")
FORGET, HELD_OUT = "forget set", "held out"


def table(
    models: Mapping[str, Scores],
    references: Mapping[str, Scores],
    *,
    targets: Mapping[str, int] | None = None,
) -> pd.DataFrame:
    """Columns attack, statistic, model, low, high, and those of ``Standing``.

    ``models`` and ``references`` are by name what :func:`rurklib.attacks.attack` returns, with the
    parts "forget set" and "held out". Where numbers are [targets, n], ``targets`` says which a
    model is about; references are then taken about the same. A statistic of a reference looks at
    the *other* references. ``low`` and ``high`` are 95 % intervals over samples, NaN for a level.
    """
    if len(references) < 2:
        raise check.InputError(
            f"{len(references)} references: expected two or more to compare with"
        )
    rows, nulls = [], {}
    for name, its in models.items():
        at = (targets or {}).get(name, 0)
        for attack, own in its.items():
            other = [_about(r[attack], at) for r in references.values()]
            mine = _statistics(_about(own, at), other)
            if (attack, at) not in nulls:  # it is the same for all models
                nulls[attack, at] = [
                    _statistics(r, other[:k] + other[k + 1 :]) for k, r in enumerate(other)
                ]
            for statistic, (value, low, high) in mine.items():
                place = standing(value, [n[statistic][0] for n in nulls[attack, at]])
                rows.append(
                    {"attack": attack, "statistic": statistic, "model": name, "low": low,
                     "high": high, **place._asdict()}
                )  # fmt: skip
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
    seen: dict[str, Callable[[str], np.ndarray]] = {
        "": lambda part: own[part],
        "calibrated ": lambda part: own[part] - usual[part],
    }
    for kind, numbers in seen.items():
        m: Membership = membership(numbers(FORGET), numbers(HELD_OUT))
        found[f"{kind}auc"] = (m.auc, m.auc_low, m.auc_high)
        found[f"{kind}tpr"] = (m.tpr, m.tpr_low, m.tpr_high)
    return found
