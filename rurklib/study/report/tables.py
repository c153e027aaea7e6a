"""Tables for people: a run's results, its findings, a sweep's, and all beside the paper's numbers.

A sweep's ``frame`` has a row a model and cell, at the largest tau: group, cell, seed, method, the
swept parameters, accuracies and gaps in percent, ratio_of_means.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from rurklib.metrics.accuracy import COLUMNS as PERCENT
from rurklib.metrics.accuracy import gap_of_means
from rurklib.metrics.registry import METRICS
from rurklib.residual.exchange import ALIKE, LESS_SURE, SURER
from rurklib.residual.verdict import combined
from rurklib.study.figures.curves import QUANTITIES

CAP = 30  # of re-learn epochs; 31 reads "more than 30"
CAPPED = {"relearn_epochs": ("re-learn", CAP), "relearn_steps": ("re-learn steps", 300)}

# The paper's columns, and ours.
PAPER = {"retain": "retain_accuracy", "unlearn": "unlearn_accuracy", "test": "test_accuracy",
         "mia": "mia", "average_gap": "average_gap", "relearn": "relearn_epochs"}  # fmt: skip

FOUR = ("retain", "unlearn", "test", "mia")  # of them, in percent
SWEPT = ("ratio_of_means", "retain_accuracy", "unlearn_accuracy", "test_accuracy", "mia",
         "average_gap")  # fmt: skip
RATIO = "ratio at the largest tau"
# Of a lead in ratio and in margin: its column, its limit, and where there is none.
LEADS = {
    "ratio": ("ratio_of_means", "predict_high", 1.0),
    "margin": ("margin_difference", "margin_predict_high", 0.0),
}

P_PART = "p_margin"  # a column that verdicts of the rule have
# What rurklib.residual.verdict calls them, and shorter.
FINDINGS = {
    "residual knowledge": "residual knowledge",
    "none detected": "none",
    "over-forgotten": "over-forgotten",
}


def results_table(summary: pd.DataFrame, *, gaps: bool = True) -> pd.DataFrame:
    """One row per method in order of appearance, as text: mean ± sd over its models.

    ``summary`` as ``rurklib.study.summary.summarise`` gives it. With ``gaps`` each
    percentage has its distance to the re-trained mean behind it in brackets. As in the paper, Avg.
    Gap is the mean distance of the *means*; with one seed its rows in the summary say the same.
    Re-learn epochs and steps have a ">" where a model needed more than the cap. Headings are those
    of ``METRICS``.
    """
    mean, sd, away = _by_method(summary)
    table = pd.DataFrame({"models": summary.groupby("method", sort=False).size()})
    headings = {c: h for m in METRICS.values() for c, h in m.columns.items() if c in mean and h[0]}
    for column in PERCENT:
        table[headings.pop(column)[0]] = [
            mean_sd(mean.at[m, column], sd.at[m, column], 2)
            + (f" ({away.at[m, column]:.2f})" if gaps and m != "Re-train" else "")
            for m in mean.index
        ]
    for column, (label, digits) in {**headings, "seconds": ("seconds", 1)}.items():
        table[label] = [mean_sd(mean.at[m, column], sd.at[m, column], digits) for m in mean.index]
    for column, (label, cap) in CAPPED.items():
        if column in summary:
            capped = summary.groupby("method", sort=False)[column].max() > cap
            table.loc[capped, label] = ">" + table.loc[capped, label]
    table["of re-training"] = [f"{100 * share:.0f} %" for share in mean.share_of_retrain]
    return table.reset_index()


def in_most(findings: Iterable[str]) -> str:
    """The verdict that more than half of a method's seeds have, or that there is none such."""
    counts = Counter(findings)
    most, n = counts.most_common(1)[0]
    return most if n > counts.total() / 2 else "differs by seed"


def by_verdict(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Which methods have which verdict in most of their seeds, a row for each verdict."""
    most = verdicts.groupby("method", sort=False).finding.agg(in_most)
    order = [finding for finding in dict.fromkeys((*FINDINGS, *most)) if (most == finding).any()]
    methods = [", ".join(most.index[most == finding]) for finding in order]
    return pd.DataFrame({"verdict in most seeds": order, "methods": methods})


def findings_table(verdicts: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """One row per method: its models' ratios, and the rule's verdicts counted by seeds, as text.

    ``verdicts`` as ``rurklib.study.measurement`` gives them; from ``summary`` come unlearn and
    test accuracy, Avg. Gap and LiRA's AUC, as in :func:`results_table`. Where no ratio is defined,
    a whole class being forgotten, differences and margins stand in its place. "All seeds, p" joins
    the seeds' p as the rule joins its parts (:func:`rurklib.residual.verdict.combined`): seeds
    share their references, so three findings of three aren't three confirmations; this p is below
    0.05 for about one in twenty methods that leave nothing, however much they share
    (tests/residual/test_verdict.py). "Treated differently" counts seeds by the test that needs no
    re-trained model, if it was asked.
    """
    small = results_table(summary, gaps=False).set_index("method")
    beside = ["unlearn %", "test %", "Avg. Gap", "LiRA AUC"]
    rows, columns = [], {"ratio (seeds)": "ratio_of_means"}
    if verdicts.ratio_of_means.isna().all():
        columns = {"difference (seeds)": "difference", "margin (seeds)": "margin_difference"}
    for method, own in verdicts.groupby("method", sort=False):
        p = combined(list(own.p)) if P_PART in own else math.nan
        rows.append(
            {
                "method": method,
                **{head: _range(own[column]) for head, column in columns.items()},
                "verdict (seeds)": findings_of(own),
                **({"treated differently": in_seeds(own.treated)} if "treated" in own else {}),
                "all seeds, p": "-" if math.isnan(p) else f"{p:.2g}",
                **small.loc[method, beside],
            }
        )
    return pd.DataFrame(rows)


def curves_table(frame: pd.DataFrame, *, differences: bool = False) -> pd.DataFrame:
    """Residual knowledge at every tau, a row for each perturbation and method, mean over seeds, and
    the bands of re-trained models; ``differences`` of accuracies in place of ratios."""
    quantity = "difference" if differences else "ratio_of_means"
    _, span, predict, _ = QUANTITIES[quantity]
    keys, taus = ["perturbation", "method"], frame[frame.method != "Re-train"]
    wide = frame.pivot_table(index=keys, columns="tau", values=quantity, sort=False)
    band = taus.groupby(["perturbation", "tau"])[[*(span or ()), *(predict or ())]].first()
    band = band.unstack().stack(level=0, future_stack=True).rename_axis(keys)
    table = pd.concat([wide, band]).round(3).reset_index().rename_axis(columns=None)
    return table.rename(columns=lambda c: f"tau {c:g}" if isinstance(c, float) else str(c))


def findings_of(verdicts: pd.DataFrame) -> str:
    """Verdicts (columns finding, mixed) counted, in words: "2 none, 1 over-forgotten, 1 of them
    mixed"; "-" for none, and where a table is from before there was one rule."""
    counts = verdicts.finding.value_counts() if P_PART in verdicts else {}
    words = [f"{counts[k]} {short}" for k, short in FINDINGS.items() if k in counts]
    if "mixed" in verdicts and verdicts.mixed.any():
        words.append(f"{verdicts.mixed.sum()} of them mixed")
    return ", ".join(words) or "-"


def versus_paper(ours: pd.DataFrame, paper: pd.DataFrame) -> pd.DataFrame:
    """A run beside the paper's numbers: difference (ours - paper) and ``within``, whether mean ±
    standard deviation of one reaches that of the other.

    Either ``ours`` is what ``rurklib.study.summary.summarise`` gives and ``paper`` has
    method; retain, unlearn, test and mia in percent, relearn (epochs, 31 reads "> 30"), each with
    its ..._sd; average_gap, which as in the paper is the mean distance of the means and has no
    spread. Or ``ours`` is the frame of ``rurklib.study.measurement`` and ``paper`` has
    perturbation, method, tau, ratio (of means) and reading_error, by which a value read from a
    figure may be off, for its figures give no spread over seeds.

    Returns a row per method and quantity, or per perturbation, method and tau (to the fourth
    digit), that both have, with ours, ours_sd, paper, paper_sd, difference, within. ``within`` is
    missing where neither has a spread (a single seed has none) or ours is missing.
    """
    if "tau" in paper:
        keys = ["perturbation", "method", "tau"]
        own = ours[ours.method != "Re-train"].assign(tau=ours.tau.round(4))
        own = own.groupby(keys, sort=False).ratio_of_means.agg(ours="mean", ours_sd="std")
        theirs = paper.rename(columns={"ratio": "paper", "reading_error": "paper_sd"})
        rows = theirs.assign(tau=theirs.tau.round(4)).merge(own.reset_index(), on=keys)
    else:
        keys = ["method", "quantity"]
        mean, sd, _ = _by_method(ours)
        found = [
            (m.method, quantity, mean.at[m.method, own], sd.at[m.method, own],
             getattr(m, quantity), getattr(m, f"{quantity}_sd", float("nan")))
            for m in paper.itertuples() if m.method in mean.index
            for quantity, own in PAPER.items()
        ]  # fmt: skip
        rows = pd.DataFrame(found, columns=[*keys, "ours", "ours_sd", "paper", "paper_sd"])
    rows = rows[[*keys, "ours", "ours_sd", "paper", "paper_sd"]]
    rows = rows[rows.paper.notna()].reset_index(drop=True)
    spread = rows[["ours_sd", "paper_sd"]].sum(axis=1, min_count=1)
    rows["difference"] = rows.ours - rows.paper
    # A hair more, for 1.1 - 1 isn't 0.1.
    near = (rows.difference.abs() <= spread + 1e-9).astype("boolean")
    rows["within"] = near.mask(spread.isna() | rows.ours.isna())
    return rows


def versus_paper_text(rows: pd.DataFrame, digits: int = 2) -> pd.DataFrame:
    """:func:`versus_paper` for people: a row per method, and per perturbation of curves; a column
    per quantity or tau; cells such as ``9.10 (paper 9.47, -0.37 *)``, where the star says that the
    difference is within both spreads."""
    index, column = (
        (["perturbation", "method"], "tau") if "tau" in rows else (["method"], "quantity")
    )
    text = rows.assign(cell=[_cell(r, digits) for r in rows.to_dict("records")])
    wide = text.pivot_table(index=index, columns=column, values="cell", aggfunc="first", sort=False)
    wide = wide.fillna("-").reset_index().rename_axis(columns=None)
    return wide.rename(columns=lambda c: f"tau {c:g}" if isinstance(c, float) else str(c))


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
        cells = frame[frame.group == group]
        values = cells[cells.method == method][parameter].drop_duplicates()
        theirs = paper[paper.group == group].to_dict("records")
        for i, value in enumerate(values):
            cell = cells[cells[parameter] == value]  # with Re-train's rows
            own = cell[cell.method == method]
            match = theirs[i] if i < len(theirs) else None
            rows.append(
                {
                    "group": group,
                    "value": value,
                    **{part: _mean_sd(own[PAPER[part]]) for part in FOUR},
                    "average gap": _mean_sd(own.average_gap),
                    "gap of means": f"{gap_of_means(cell)[own.index[0]]:.2f}",
                    RATIO: _mean_sd(own.ratio_of_means, 3),
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
                **{part: _mean_sd(own[PAPER[part]]) for part in FOUR},
                "average gap": _mean_sd(own.average_gap),
                "gap of means": f"{gaps[method]:.2f}",
                RATIO: _mean_sd(own.ratio_of_means, 3),
                **{f"paper: {part}": f"{theirs[part]:.2f}" for part in FOUR},
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
        for values, seeds in own.groupby(list(names), sort=False):
            value = ", ".join(f"{name} {v}" for name, v in zip(names, values, strict=True))
            numbers = {column: _mean_sd(seeds[column], 3) for column in SWEPT}
            rows.append({"group": group, "value": value, "seeds": len(seeds), **numbers})
    return pd.DataFrame(rows, columns=["group", "value", "seeds", *SWEPT])


def leads(prior: pd.DataFrame) -> pd.DataFrame:
    """How far each model leads, mean over taus and seeds, in units of the upper end of the
    prediction interval: 1 is its limit.

    ``prior`` has columns part, scenario, method and those of :data:`LEADS`. Returns part, scenario,
    method, lead and measure.
    """
    mean = prior.groupby(["part", "scenario", "method"], sort=False).mean(numeric_only=True)
    each = [
        ((mean[value] - none) / (mean[limit] - none)).rename("lead").reset_index().assign(measure=m)
        for m, (value, limit, none) in LEADS.items()
    ]
    return pd.concat(each)


def _by_method(summary: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Means and standard deviations over a method's models, and how far percentages are from
    Re-train's; average_gap as in the paper: of the means, without a spread."""
    grouped = summary.groupby("method", sort=False)
    mean, sd = grouped.mean(numeric_only=True), grouped.std(ddof=1, numeric_only=True)
    away = (mean[list(PERCENT)] - mean.loc["Re-train", list(PERCENT)]).abs()
    mean["average_gap"], sd["average_gap"] = away.mean(axis=1), float("nan")
    return mean, sd, away


def _cell(row: dict, digits: int) -> str:
    relearn = row.get("quantity") == "relearn"
    ours, paper = (
        f">{CAP}" if relearn and row[k] > CAP else f"{row[k]:.{digits}f}" for k in ("ours", "paper")
    )
    if pd.isna(row["ours"]):
        return f"- (paper {paper})"
    star = " *" if not pd.isna(row["within"]) and row["within"] else ""
    return f"{ours} (paper {paper}, {row['difference']:+.{digits}f}{star})"


def _range(values: pd.Series) -> str:
    return f"{values.mean():.3f} ({values.min():.3f} ... {values.max():.3f})"


def mean_sd(mean: float, sd: float, digits: int) -> str:
    """Mean ± standard deviation as text, the latter only where there is one; "-" for NaN."""
    if mean != mean:
        return "-"
    return f"{mean:.{digits}f}" + (f" ± {sd:.{digits}f}" if sd == sd else "")


def _mean_sd(values: pd.Series, digits: int = 2) -> str:
    return mean_sd(values.mean(), values.std(), digits)


def in_seeds(findings: Iterable[str]) -> str:
    """The findings of the exchange test for several models, counted: "2 surer, 1 alike"."""
    counts = Counter(findings)
    short = {SURER: "surer", LESS_SURE: "less sure", ALIKE: "alike"}
    return ", ".join(f"{counts[name]} {word}" for name, word in short.items() if counts[name])
