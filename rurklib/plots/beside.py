"""A finished run beside the paper's numbers: each cell's difference, and whether it is within both
spreads."""

from __future__ import annotations

import pandas as pd

from rurklib.plots.results import CAP, PERCENT

# The paper's column, and ours.
QUANTITIES = {"retain": "retain_accuracy", "unlearn": "unlearn_accuracy", "test": "test_accuracy",
              "mia": "mia", "average_gap": "average_gap", "relearn": "relearn_epochs"}  # fmt: skip
COLUMNS = ["ours", "ours_sd", "paper", "paper_sd", "difference", "within"]


def beside_table(summary: pd.DataFrame, paper: pd.DataFrame) -> pd.DataFrame:
    """The comparison of a run beside the paper's Table 1, a row per method and quantity.

    ``summary`` as ``rurklib.summary.summarise`` gives it. ``paper``: method; retain, unlearn, test
    and mia in percent, relearn (epochs, 31 reads "> 30"), each with its ..._sd; average_gap. The
    result has columns method, quantity, and those of :func:`compared`. As in the paper, Avg. Gap is
    the mean distance of the means to Re-train's; it has no spread. Rows are those that both have.
    """
    grouped = summary.groupby("method", sort=False)
    mean, sd = (getattr(grouped, f)(numeric_only=True) for f in ("mean", "std"))
    away = (mean[list(PERCENT)] - mean.loc["Re-train", list(PERCENT)]).abs()
    mean["average_gap"], sd["average_gap"] = away.mean(axis=1), float("nan")
    rows = [
        (m.method, quantity, mean.at[m.method, own], sd.at[m.method, own],
         getattr(m, quantity), getattr(m, f"{quantity}_sd", float("nan")))
        for m in paper.itertuples()
        if m.method in mean.index
        for quantity, own in QUANTITIES.items()
    ]  # fmt: skip
    return compared(pd.DataFrame(rows, columns=["method", "quantity", *COLUMNS[:4]]))


def beside_curves(frame: pd.DataFrame, paper: pd.DataFrame) -> pd.DataFrame:
    """Residual knowledge of a run beside curves read from the paper's figures.

    ``frame`` as ``rurklib.study.measure`` gives it. ``paper``: perturbation, method, tau, ratio and
    reading_error, by which a value read from a figure may be off; its figures give no spread over
    seeds. Its ratio is that of means, and so is ours. A row per perturbation, method and tau (to
    the fourth digit) that both have, with the columns of :func:`compared`.
    """
    keys = ["perturbation", "method", "tau"]
    own = frame[frame.method != "Re-train"].assign(tau=frame.tau.round(4))
    ours = own.groupby(keys, sort=False).ratio_of_means.agg(ours="mean", ours_sd="std")
    theirs = paper.assign(tau=paper.tau.round(4)).rename(
        columns={"ratio": "paper", "reading_error": "paper_sd"}
    )
    both = theirs[[*keys, "paper", "paper_sd"]].merge(ours.reset_index(), on=keys)
    return compared(both[[*keys, *COLUMNS[:4]]])


def compared(rows: pd.DataFrame) -> pd.DataFrame:
    """``rows`` with ``difference`` (ours - paper) and ``within``: whether it is at most ours_sd +
    paper_sd, so that mean ± standard deviation of one reaches that of the other.

    ``within`` is missing where neither has a spread (a single seed counts as none), or a number is
    missing; rows without a number of the paper's are left out.
    """
    rows = rows[rows.paper.notna()].reset_index(drop=True)
    spread = rows[["ours_sd", "paper_sd"]].sum(axis=1, min_count=1)
    rows["difference"] = rows.ours - rows.paper
    # A hair more, for 1.1 - 1 isn't 0.1.
    near = (rows.difference.abs() <= spread + 1e-9).astype("boolean")
    rows["within"] = near.mask(spread.isna() | rows.ours.isna())
    return rows


def beside_text(rows: pd.DataFrame, digits: int = 2) -> pd.DataFrame:
    """:func:`beside_table` or :func:`beside_curves` for people: a row per method, and per law of
    curves; a column per quantity or tau; cells such as ``9.10 (paper 9.47, -0.37 *)``, where the
    star says that the difference is within both spreads."""
    curves = "tau" in rows
    index = ["perturbation", "method"] if curves else ["method"]
    column = "tau" if curves else "quantity"
    text = rows.assign(cell=[_cell(r, digits) for r in rows.to_dict("records")])
    wide = text.pivot_table(index=index, columns=column, values="cell", aggfunc="first", sort=False)
    wide = wide.fillna("-").reset_index().rename_axis(columns=None)
    return wide.rename(columns=lambda c: f"tau {c:g}" if isinstance(c, float) else str(c))


def share_within(rows: pd.DataFrame) -> str:
    """How many differences are within both spreads, in words."""
    judged = rows.within.dropna().astype(bool)
    return f"{int(judged.sum())} of {len(judged)} differences are within both spreads"


def _cell(row: dict, digits: int) -> str:
    relearn = row.get("quantity") == "relearn"
    ours, paper = (
        f">{CAP}" if relearn and row[k] > CAP else f"{row[k]:.{digits}f}" for k in ("ours", "paper")
    )
    if pd.isna(row["ours"]):
        return f"- (paper {paper})"
    star = " *" if not pd.isna(row["within"]) and row["within"] else ""
    return f"{ours} (paper {paper}, {row['difference']:+.{digits}f}{star})"
