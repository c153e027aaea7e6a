"""A finished run beside the paper's numbers: each cell's difference, and whether it is within both
spreads.

The comparison as a table for people: mean, spread, and how far from re-training.
"""

from __future__ import annotations

import pandas as pd

# The paper's column, and ours.
QUANTITIES = {"retain": "retain_accuracy", "unlearn": "unlearn_accuracy", "test": "test_accuracy",
              "mia": "mia", "average_gap": "average_gap", "relearn": "relearn_epochs"}  # fmt: skip


COLUMNS = ["ours", "ours_sd", "paper", "paper_sd", "difference", "within"]


def beside_table(summary: pd.DataFrame, paper: pd.DataFrame) -> pd.DataFrame:
    """The comparison of a run beside the paper's Table 1, a row per method and quantity.

    ``summary`` as ``rurklib.study.stages.summary.summarise`` gives it. ``paper``: method; retain,
    unlearn, test and mia in percent, relearn (epochs, 31 reads "> 30"), each with its ..._sd;
    average_gap. The result has columns method, quantity, and those of :func:`compared`. As in the
    paper, Avg. Gap is the mean distance of the means to Re-train's; it has no spread. Rows are
    those that both have.
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

    ``frame`` as ``rurklib.study.stages.measure`` gives it. ``paper``: perturbation, method, tau,
    ratio and reading_error, by which a value read from a figure may be off; its figures give no
    spread over seeds. Its ratio is that of means, and so is ours. A row per perturbation, method
    and tau (to the fourth digit) that both have, with the columns of :func:`compared`.
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


PERCENT = {
    "retain_accuracy": "retain %",
    "unlearn_accuracy": "unlearn %",
    "test_accuracy": "test %",
    "mia": "MIA %",
}


OTHERS = {
    "average_gap": ("Avg. Gap", 2),
    "lira_auc": ("LiRA AUC", 2),
    "lira_mean_z": ("LiRA z", 1),
    "relearn_epochs": ("re-learn", 1),
    "seconds": ("seconds", 1),
}


CAP = 30  # of re-learn epochs; 31 reads "more than 30"


def results_table(summary: pd.DataFrame, *, gaps: bool = True) -> pd.DataFrame:
    """One row per method in order of appearance, as text: mean ± sd over its models.

    ``summary`` as ``rurklib.study.stages.summary.summarise`` gives it. With ``gaps`` each
    percentage has its distance to the re-trained mean behind it in brackets. As in the paper, Avg.
    Gap is the mean distance of the *means*; with one seed its rows in the summary say the same.
    Re-learn epochs have a ">" where a model needed more than the cap.
    """
    grouped = summary.groupby("method", sort=False)
    mean = grouped.mean(numeric_only=True)
    sd = grouped.std(ddof=1, numeric_only=True)
    away = (mean[list(PERCENT)] - mean.loc["Re-train", list(PERCENT)]).abs()
    table = pd.DataFrame({"models": grouped.size()})
    for column, label in PERCENT.items():
        table[label] = [
            _text(mean.at[m, column], sd.at[m, column], 2)
            + (f" ({away.at[m, column]:.2f})" if gaps and m != "Re-train" else "")
            for m in mean.index
        ]
    for column, (label, digits) in OTHERS.items():
        center = away.mean(axis=1) if column == "average_gap" else mean[column]
        spread = sd[column] if column != "average_gap" else sd[column] * float("nan")
        table[label] = [_text(center[m], spread[m], digits) for m in mean.index]
    capped = grouped.relearn_epochs.max() > CAP
    table.loc[capped, "re-learn"] = ">" + table.loc[capped, "re-learn"]
    table["of re-training"] = [f"{100 * share:.0f} %" for share in mean.share_of_retrain]
    return table.reset_index()


SIDES = {"above": "above", "inside": "inside", "below": "below"}


# What rurklib.residual.verdict calls them, and shorter.
FINDINGS = {
    "residual knowledge": "residual",
    "none detected": "none",
    "over-forgotten": "over-forgotten",
}


def findings_table(verdicts: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """One row per method: what its models' ratios and margins say, counted by seeds, as text.

    ``verdicts`` as ``rurklib.study.stages.measure`` gives them; from ``summary`` come unlearn and
    test accuracy, Avg. Gap and LiRA's AUC, as in :func:`results_table`.
    """
    small = results_table(summary, gaps=False).set_index("method")
    rows = []
    for method, its in verdicts.groupby("method", sort=False):
        ratio = its.ratio_of_means
        rows.append(
            {
                "method": method,
                "ratio (seeds)": f"{ratio.mean():.3f} ({ratio.min():.3f} ... {ratio.max():.3f})",
                "by ratio": _counted(its.by_ratio, SIDES),
                "by margin": _counted(its.finding, FINDINGS),
                **small.loc[method, ["unlearn %", "test %", "Avg. Gap", "LiRA AUC"]],
            }
        )
    return pd.DataFrame(rows)


def _counted(found: pd.Series, names: dict[str, str]) -> str:
    counts = found.value_counts()
    return ", ".join(f"{counts[k]} {name}" for k, name in names.items() if k in counts) or "-"


def _text(mean: float, sd: float, digits: int) -> str:
    if mean != mean:
        return "-"
    return f"{mean:.{digits}f}" + (f" ± {sd:.{digits}f}" if sd == sd else "")
