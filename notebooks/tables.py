"""The tables of README pages, each made anew from the CSV that its mark names.

A mark is a line such as "<!-- figures/digits/summary.csv: made by notebooks/publish.py -->"; the
table is behind it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from rurklib.residual.verdict import NO_VERDICT, NONE, OVER, RESIDUAL
from rurklib.study.report import (
    compare,
    compare_table,
    findings_of,
    findings_table,
    published,
    results_table,
    versus_paper_text,
)
from rurklib.study.store import write_frame
from rurklib.study.tuning import chosen_trials

FIGURES = Path(__file__).parent.parent / "figures"

# Data by the file of its ratios, as a reader calls them.
DATA = {
    "digits/residual_knowledge": "digits, half of the nines",
    "cifar5/residual_knowledge": "small CIFAR-5, half of the airplanes",
    "fashion/residual_knowledge": "Fashion-MNIST, half of the shirts",
    "beyond-images/08_npz": "chest X-rays, half of the normal ones",
    "beyond-images/08_sms": "SMS, half of the spam",
    "beyond-images/08_trec": "TREC questions, a tenth of a class",
    "beyond-images/08_sst2": "SST-2 sentences, a tenth of a class",
    "beyond-images/08_breast-cancer": "breast cancer (table), half of a class",
    "beyond-images/08_iris": "Iris (table), half of a class",
}

LETTERS = {RESIDUAL: "R", OVER: "O", NONE: "n", NO_VERDICT: "?"}


def write_answers() -> None:
    """``answers.csv``: Original and RURK on all data, at tau 0 and at the middle radius.

    Mean over seeds of the ratio, from the lowest to the highest limit of the models' intervals, and
    the verdicts of the rule, over the whole curve, counted by seeds.
    """
    rows = []
    for file, data in DATA.items():
        path = FIGURES / f"{file}.csv"
        if not path.exists():
            continue
        frame = pd.read_csv(path)
        judged = path.with_stem(f"{path.stem}_verdicts".removeprefix("residual_knowledge_"))
        found = pd.read_csv(judged) if judged.exists() else frame.head(0)
        frame = frame[frame.get("law", frame.get("perturbation")) == "gaussian"]
        taus = sorted(frame.tau.unique())
        for tau in (taus[0], taus[len(taus) // 2]):
            at = frame[frame.tau == tau]
            low, high = at[at.method == "RURK"][["predict_low", "predict_high"]].mean()
            row = {"data": data, "tau": f"{tau:g}"}
            row["a further re-trained model"] = f"{low:.3f} to {high:.3f}"
            for method in ("Original", "RURK"):
                its = at[at.method == method]
                span = f"[{its.ratio_low.min():.3f}, {its.ratio_high.max():.3f}]"
                row[method] = f"{its.ratio_of_means.mean():.3f} {span}"
                row[f"{method}: verdict (seeds)"] = findings_of(found[found.method == method])
            rows.append(row)
    write_frame(FIGURES / "beyond-images" / "answers.csv", pd.DataFrame(rows))


def write_which() -> None:
    """``which.csv``: all methods on all data of which both tests were asked, as ``rurk compare``.
    ``glance.csv``: the verdict on each method and data set, a letter for each seed; lower case
    where it is mixed."""
    write_frame(FIGURES / "which" / "which.csv", compare(published(FIGURES)))
    columns = {}
    for path in sorted(FIGURES.glob("*/verdicts.csv")):
        judged = pd.read_csv(path).sort_values("seed")
        letters = judged.finding.map(LETTERS)
        letters = letters.mask(judged.mixed, letters.str.lower())
        letters = letters.groupby(judged.method, sort=False).sum()
        columns[path.parent.name] = letters
    widest = dict(sorted(columns.items(), key=lambda item: -len(item[1])))  # what has most methods
    glance = pd.concat(widest, axis=1).fillna("").rename_axis("method")
    write_frame(FIGURES / "which" / "glance.csv", glance.reset_index())


def write_tables(page: Path) -> None:
    """The page with its tables as the CSVs are now, if there is such a page."""
    if page.exists():
        page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")


def with_tables(text: str) -> str:
    """``text`` with the table behind each mark made anew from its CSV; where there is no such file,
    nothing was measured yet, and what stands there stays."""

    def table(found: re.Match[str]) -> str:
        path = FIGURES / found[2] / found[3]
        if not path.exists():
            return found[0]
        return found[1] + markdown(TABLES.get(path.name, as_it_is)(path))

    return MARK.sub(table, text)


def markdown(table: pd.DataFrame) -> str:
    """A frame as lines of a Markdown table."""
    rows = [list(table.columns), ["---", *["---:"] * (len(table.columns) - 1)], *table.to_numpy()]
    return "".join("| " + " | ".join(map(str, row)) + " |\n" for row in rows)


def choices(path: Path) -> pd.DataFrame:
    trials = pd.read_csv(path, keep_default_na=False)
    table = chosen_trials(trials)[["method", "defaults", "screened", "score", "settings"]]
    table["settings"] = table.settings.replace("", "the defaults")
    names = {"screened": "chosen", "score": "chosen, all Originals"}
    return table.round(2).rename(columns=names)


def memory_rows(path: Path) -> pd.DataFrame:
    """Means over seeds at tau 0, where the paper's radii end and beyond: the ratio on forgotten
    samples, on held-out ones of their class, and the one over the other, with where the models'
    intervals say that a further re-trained one would be. A dash: in a seed it can't be told."""
    rows = pd.read_csv(path)
    rows = rows[rows.tau.isin([0.0, 0.0157, 0.0314, 0.06, 0.1]) & (rows.method != "Re-train")]
    seeds = rows.groupby(["method", "tau"], sort=False)
    mean = seeds.mean(numeric_only=True)
    left = mean.memory.where(seeds.memory.count() == seeds.memory.size())
    mean = mean.assign(left=left.map("{:.3f}".format).where(left.notna(), "–")).reset_index()
    between = mean.memory_low.map("{:.3f}".format) + " to " + mean.memory_high.map("{:.3f}".format)
    cell = mean.ratio.map("{:.3f}".format) + " / " + mean.held_out_ratio.map("{:.3f}".format)
    mean["cell"] = cell + ": " + mean.left
    table = mean.pivot(index="method", columns="tau", values="cell").loc[mean.method.unique()]
    table.loc["prediction interval"] = between.groupby(mean.tau).first()
    return table.rename(columns="tau {:g}".format).reset_index().rename_axis(columns=None)


def answers_rows(path: Path) -> pd.DataFrame:
    """Original and RURK on all data; the CSV calls the prediction interval by its first name."""
    return as_it_is(path).rename(columns={"a further re-trained model": "prediction interval"})


def as_it_is(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


MARK = re.compile(
    r"(<!-- figures/([\w/-]+)/([\w-]+\.csv): made by \S+ -->\n)(?:\|.*\n|not measured yet\n)*"
)
# How the CSV of a name becomes a table; of another name it is shown as it is.
TABLES: dict[str, Callable[[Path], pd.DataFrame]] = {
    "which.csv": lambda path: compare_table(pd.read_csv(path)),
    "summary.csv": lambda path: results_table(pd.read_csv(path)),
    "verdicts.csv": lambda path: findings_table(
        pd.read_csv(path), pd.read_csv(path.with_name("summary.csv"))
    ),
    "trials.csv": choices,
    "memory.csv": memory_rows,
    "answers.csv": answers_rows,
    "99_table.csv": lambda path: versus_paper_text(pd.read_csv(path)),
    "99_curves.csv": lambda path: versus_paper_text(
        pd.read_csv(path).query("perturbation == 'gaussian'"), digits=3
    ).drop(columns="perturbation"),
}
