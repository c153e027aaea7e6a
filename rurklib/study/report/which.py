"""Which method to use: all methods on all data, beside the control that every cost needs.

Re-training for a quarter of the epochs is what a method as quick has to be better than: it forgets
without a doubt, and what it may lack is accuracy.
"""

from pathlib import Path

import pandas as pd

from rurklib.checks import InputError
from rurklib.residual.exchange import ALIKE
from rurklib.residual.verdict import NONE
from rurklib.study import files
from rurklib.study.run_record import RECORD
from rurklib.study.scenarios.images import CONTROL

QUARTER = 0.25


def compared(folders: list[Path]) -> pd.DataFrame:
    """A row per data set and method, from the ``summary.csv`` and ``verdicts.csv`` of finished runs
    or of published pages.

    Columns: data (the scenario of a run; of a page its folder's name), method, seeds; ``like``, how
    many of them the rule of record doesn't tell from re-trained models; ``alike``, how many treat
    forgotten samples as held-out ones (:mod:`rurklib.residual.exchange`); test_accuracy, its mean
    in percent, beside that of the re-trained models (``retrained``) and of the worst of these
    (``lowest``); share_of_retrain, of the time; and what is ``passed``: the first two in most
    seeds, an accuracy of at least ``lowest``, and a share of at most a quarter, or of what the
    control took there. Where two folders are of one scenario, a method's row is the last one's.

    Raises InputError for a folder without these tables, or whose verdicts lack the second test (so
    do those of held-out samples of another kind than the forget samples, of which it says nothing).
    """
    tables = [_of_one(folder) for folder in folders]
    return pd.concat(tables).drop_duplicates(["data", "method"], keep="last", ignore_index=True)


def published(figures: Path) -> list[Path]:
    """The pages below a folder that :func:`compared` can read: those of both tests."""
    found = sorted(path.parent for path in figures.glob("*/verdicts.csv"))
    return [f for f in found if "treated" in pd.read_csv(f / "verdicts.csv", nrows=0)]


def which_table(rows: pd.DataFrame) -> pd.DataFrame:
    """:func:`compared` for people: a row per method, the best first."""
    by = rows.groupby("method", sort=False)
    total = by[["seeds", "like", "alike", "passed"]].sum()
    points, share = (rows.test_accuracy - rows.retrained).groupby(rows.method), by.share_of_retrain
    table = pd.DataFrame(
        {
            "passes (data sets)": _of(total.passed, by.size()),
            "like a re-trained model (seeds)": _of(total.like, total.seeds),
            "forgotten treated as held-out (seeds)": _of(total.alike, total.seeds),
            "test accuracy, points from re-trained": points.mean().map("{:+.1f}".format)
            + points.min().map(" (worst {:+.1f})".format),
            "of re-training's time": (100 * share.mean()).map("{:.0f} %".format)
            + (100 * share.max()).map(" (most {:.0f} %)".format),
        }
    )
    order = total.assign(tests=(total.like + total.alike) / total.seeds, quick=-share.mean())
    best = order.sort_values(["passed", "tests", "quick"], ascending=False).index
    return table.loc[best].reset_index()


def _of_one(folder: Path) -> pd.DataFrame:
    """The rows of one data set."""
    for name in ("summary.csv", "verdicts.csv"):
        if not (folder / name).exists():
            raise InputError(f"{folder / name} is missing: expected a finished run, or its page")
    summary, verdicts = (pd.read_csv(folder / f"{n}.csv") for n in ("summary", "verdicts"))
    if "treated" not in verdicts:
        raise InputError(
            f"{folder / 'verdicts.csv'} has no column treated: expected verdicts of both tests. "
            "Leave it out if re-trained models are right on other shares of the forget than of the "
            "held-out samples, so that these are no control; else finish the run again"
        )
    run = folder / RECORD
    data = files.read_json(run)["scenario"] if run.exists() else folder.resolve().name
    means = summary.groupby("method").mean(numeric_only=True)
    again = summary[summary.method == "Re-train"].test_accuracy
    asked = verdicts[verdicts.method != "Original"]
    by = asked.assign(like=asked.finding == NONE, alike=asked.treated == ALIKE).groupby(
        "method", sort=False
    )
    rows = by[["like", "alike"]].sum()
    rows.insert(0, "seeds", by.size())
    rows["test_accuracy"] = means.test_accuracy
    rows["retrained"], rows["lowest"] = again.mean(), again.min()
    rows["share_of_retrain"] = means.share_of_retrain
    quick = rows.share_of_retrain <= max(QUARTER, rows.share_of_retrain.get(CONTROL, 0.0))
    both = rows[["like", "alike"]].gt(rows.seeds / 2, axis=0).all(axis=1)
    rows["passed"] = both & quick & (rows.test_accuracy >= rows.lowest)
    return rows.reset_index().assign(data=data)[["data", "method", *rows]]


def _of(some: pd.Series, all_: pd.Series) -> pd.Series:
    return some.astype(int).astype(str) + " of " + all_.astype(str)
