"""Tables of notebook 95: what the cells of a sweep came to, as text, and beside the paper's.

Each ``frame`` has a row a model and cell, at the largest tau: group, cell, seed, method, the swept
parameters, accuracies and gaps in percent, ratio_of_means.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from rurklib.metrics.accuracy import gap_of_means
from rurklib.study.report.tables import PAPER, mean_sd

PERCENT = ("retain", "unlearn", "test", "mia")
NUMBERS = ("ratio_of_means", "retain_accuracy", "unlearn_accuracy", "test_accuracy", "mia",
           "average_gap")  # fmt: skip
RATIO = "ratio at the largest tau"


def beside_table_c4(
    frame: pd.DataFrame, paper: pd.DataFrame, swept: Mapping[str, str], method: str
) -> pd.DataFrame:
    """``method`` at each value of what was swept, beside the paper's Table C.4: mean ± standard
    deviation over seeds.

    ``swept`` gives the parameter of each group. ``paper`` has columns group, value and average_gap;
    its rows stand beside ours by their place in the group, for its grid is another. "average gap"
    is the mean of the seeds' gaps, "gap of means" what the paper prints.
    """
    rows = []
    for group, parameter in swept.items():
        its = frame[frame.group == group]
        values = its[its.method == method][parameter].drop_duplicates()
        theirs = paper[paper.group == group].to_dict("records")
        for i, value in enumerate(values):
            cell = its[its[parameter] == value]  # with Re-train's rows
            own = cell[cell.method == method]
            match = theirs[i] if i < len(theirs) else None
            rows.append(
                {
                    "group": group,
                    "value": value,
                    **{part: _spread(own[PAPER[part]]) for part in PERCENT},
                    "average gap": _spread(own.average_gap),
                    "gap of means": f"{gap_of_means(cell)[own.index[0]]:.2f}",
                    RATIO: _spread(own.ratio_of_means, 3),
                    "paper: value": match["value"] if match else "",
                    "paper: average gap": f"{match['average_gap']:.2f}" if match else "",
                }
            )
    return pd.DataFrame(rows)


def beside_table_c5(frame: pd.DataFrame, paper: pd.DataFrame) -> pd.DataFrame:
    """Every method of the paper's Table C.5, mean ± standard deviation over seeds (Re-train's: over
    references), beside the paper's percentages and gap.

    ``frame`` holds the cells of one group. Original stands in the cell of either method, the
    references in every cell: each counts once.
    """
    each = {}
    for method in paper.method:
        own = frame[frame.method == method]
        once = own.cell == own.cell.iloc[0] if method == "Re-train" else ~own.duplicated("seed")
        each[method] = own[once]
    gaps = gap_of_means(together := pd.concat(each.values(), ignore_index=True))
    gaps = gaps.groupby(together.method).first()
    rows = []
    for theirs in paper.to_dict("records"):
        method = theirs["method"]
        own = each[method]
        rows.append(
            {
                "method": method,
                **{part: _spread(own[PAPER[part]]) for part in PERCENT},
                "average gap": _spread(own.average_gap),
                "gap of means": f"{gaps[method]:.2f}",
                RATIO: _spread(own.ratio_of_means, 3),
                **{f"paper: {part}": f"{theirs[part]:.2f}" for part in PERCENT},
                "paper: average gap": f"{theirs['average_gap']:.2f}",
            }
        )
    return pd.DataFrame(rows)


def terms_table(
    frame: pd.DataFrame, terms: Mapping[str, Sequence[str]], method: str
) -> pd.DataFrame:
    """``method`` at each value of the parameters of ``terms`` (by group): how many seeds there
    are, for some diverge, and mean ± standard deviation over them. Groups that weren't swept are
    left out."""
    rows = []
    for group, names in terms.items():
        own = frame[(frame.group == group) & (frame.method == method)]
        if own.empty:  # then its parameters may be no columns either
            continue
        for values, its in own.groupby(list(names), sort=False):
            value = ", ".join(f"{name} {v}" for name, v in zip(names, values, strict=True))
            numbers = {column: _spread(its[column], 3) for column in NUMBERS}
            rows.append({"group": group, "value": value, "seeds": len(its), **numbers})
    return pd.DataFrame(rows, columns=["group", "value", "seeds", *NUMBERS])


def _spread(values: pd.Series, digits: int = 2) -> str:
    return mean_sd(values.mean(), values.std(), digits)
