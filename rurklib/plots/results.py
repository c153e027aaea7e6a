"""The comparison as a table for people: mean, spread, and how far from re-training."""

from __future__ import annotations

import pandas as pd

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

    ``summary`` as ``rurklib.summary.summarise`` gives it. With ``gaps`` each percentage has its
    distance to the re-trained mean behind it in brackets. As in the paper, Avg. Gap is the mean
    distance of the *means*; with one seed its rows in the summary say the same. Re-learn epochs
    have a ">" where a model needed more than the cap.
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

    ``verdicts`` as ``rurklib.study.verdicts`` gives them; from ``summary`` come unlearn and test
    accuracy, Avg. Gap and LiRA's AUC, as in :func:`results_table`.
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
