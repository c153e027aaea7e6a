"""One table for several scenarios: attack x method x scenario, each cell with its null.

A run's ``attacks.csv`` has a row for each seed. Here a cell is a method's, over its seeds: their
mean and range, where a further re-trained model would be, and how many seeds are outside of that.
Scenarios differ in classes, sizes and radii, so values don't compare between them; ``t``, the
distance in standard deviations of a further re-trained model, and the counts do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from rurklib.check import InputError

KEYS = ["scenario", "attack", "statistic", "method"]
NEEDED = (*KEYS, "seed", "value", "reference", "predict_low", "predict_high", "t", "finding")
FILE = "attacks.csv"


def read_tables(folders: Sequence[str | Path]) -> tuple[dict[str, pd.DataFrame], list[Path]]:
    """Tables of attacked runs by name, and the folders that have none.

    The name is the scenario's, or the folder's where that name is taken by another one. Raises
    InputError for a table that lacks a column or has no row.
    """
    found: dict[str, pd.DataFrame] = {}
    missing = []
    for folder in map(Path, folders):
        if not (folder / FILE).exists():
            missing.append(folder)
            continue
        frame = pd.read_csv(folder / FILE)
        lacking = [c for c in NEEDED if c not in frame.columns]
        if lacking or frame.empty:
            why = f"no column {lacking[0]!r}" if lacking else "no row"
            raise InputError(f"{folder / FILE} has {why}: make it again with rurk attack")
        name = str(frame.scenario.iloc[0])
        found[next(n for n in (name, folder.name, str(folder)) if n not in found)] = frame
    return found, missing


def across(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """A row per scenario, attack, statistic and method, in the order of the tables.

    Columns: ``seeds``; ``value``, their mean, ``least`` and ``most``; ``reference``,
    ``predict_low`` and ``predict_high``, where re-trained models are and a further one would be
    (means, for the mapping attack's depend on the seed's Original); ``t``, a mean; ``above`` and
    ``below``, how many seeds are outside; ``known``, of how many it can be said.
    """
    if not tables:
        raise InputError("no tables: expected those of one run or more")
    whole = pd.concat([t.assign(scenario=name) for name, t in tables.items()], ignore_index=True)
    whole["known"] = whole.finding.isin(["above", "below", "inside"])
    for side in ("above", "below"):
        whole[side] = whole.finding == side
    cells = whole.groupby(KEYS, sort=False).agg(
        seeds=("seed", "size"), value=("value", "mean"), least=("value", "min"),
        most=("value", "max"), reference=("reference", "mean"),
        predict_low=("predict_low", "mean"), predict_high=("predict_high", "mean"), t=("t", "mean"),
        above=("above", "sum"), below=("below", "sum"), known=("known", "sum"),
    )  # fmt: skip
    return cells.reset_index()


def outside(cells: pd.DataFrame) -> pd.DataFrame:
    """How much of all that was tried is outside: a row per scenario, statistic and method.

    ``attacks``: of how many something can be said; ``above`` and ``below``: shares of attacks x
    seeds. One in twenty is outside by chance, above and below together.
    """
    known = cells[cells.known > 0]
    found = known.groupby(["scenario", "statistic", "method"], sort=False).agg(
        attacks=("attack", "nunique"), above=("above", "sum"), below=("below", "sum"),
        known=("known", "sum"),
    )  # fmt: skip
    for side in ("above", "below"):
        found[side] = found[side] / found.known
    return found.drop(columns="known").reset_index()


def mostly(cells: pd.DataFrame) -> pd.Series:
    """What most seeds of each cell say: "above", "below", "inside", or "" if nothing is known."""
    said = pd.Series("inside", index=cells.index)
    for side in ("above", "below"):
        said[2 * cells[side] > cells.known] = side
    said[cells.known == 0] = ""
    return said
