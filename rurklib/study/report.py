"""What a run's tables say: as tables for people, beside the paper, and on one page.

``page`` writes any page, of a run, an audit or a sweep: it opens without server or internet.
"""

import base64
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd

from rurklib.checks import InputError
from rurklib.metrics.accuracy import COLUMNS as PERCENT
from rurklib.metrics.registry import METRICS
from rurklib.residual.controls import HELD_OUT
from rurklib.residual.exchange import ALIKE, LESS_SURE, SURER
from rurklib.residual.verdict import NONE, OVER, RESIDUAL, combined
from rurklib.study import store
from rurklib.study.measurement import in_most
from rurklib.study.run import Run

CAPPED = {"relearn_epochs": ("re-learn", 30), "relearn_steps": ("re-learn steps", 300)}
QUARTER, CONTROL = 0.25, "Retrain-quarter"  # of re-training's time, and who takes that
SHORT = {RESIDUAL: "residual knowledge", NONE: "none", OVER: "over-forgotten"}

# The paper's columns, and ours.
PAPER = {
    "retain": "retain_accuracy",
    "unlearn": "unlearn_accuracy",
    "test": "test_accuracy",
    "mia": "mia",
    "average_gap": "average_gap",
    "relearn": "relearn_epochs",
}

# --- a page -------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """A part of a page, in this order: title, paragraphs (the lines of ``text``), table, pictures
    and a ``note`` that explains them. Without a title the text stands out.

    A cell of the ``table`` that is a tuple (address, text) is a link. ``pictures``: (file,
    alternative text, caption) of each; a Path is embedded, a string is an address relative to the
    page, shown small, with a link. ``folded``: all is hidden behind the title until it is clicked.
    """

    title: str = ""
    text: str = ""
    table: pd.DataFrame | None = None
    pictures: Sequence[tuple[Path | str, str, str]] = ()
    note: str = ""
    folded: bool = False


def page(path: Path, title: str, parts: Sequence[Part]) -> None:
    """Write a page atomically; all text is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
    )
    environment.filters["cell"] = _cell
    environment.filters["embed"] = lambda path: base64.b64encode(path.read_bytes()).decode()
    template = environment.get_template("page.html.j2")
    store.write(path, template.render(title=title, parts=parts) + "\n")


def _cell(value: Any) -> Any:
    """Four digits of a number, nothing for NaN, anything else as it is."""
    if not isinstance(value, float):
        return value
    return "" if math.isnan(value) else f"{value:.4g}" if abs(value) < 1000 else f"{value:.0f}"


# --- a run's tables -----------------------------------------------------------


def results_table(summary: pd.DataFrame, *, gaps: bool = True) -> pd.DataFrame:
    """One row per method in order of appearance, as text: mean ± sd over its models.

    ``summary`` as :func:`rurklib.study.summary.summarise` gives it. With ``gaps`` each percentage
    has its distance to the re-trained mean behind it in brackets. As in the paper, Avg. Gap is the
    mean distance of the *means*. Re-learn epochs and steps have a ">" where a model needed more
    than the cap. Headings are those of ``METRICS``.
    """
    mean, sd, away = _by_method(summary)
    table = pd.DataFrame({"models": summary.groupby("method", sort=False).size()})
    headings = {c: h for m in METRICS.values() for c, h in m.columns.items() if c in mean and h[0]}
    for column in PERCENT:
        table[headings.pop(column)[0]] = [
            _mean_sd(mean.at[m, column], sd.at[m, column], 2)
            + (f" ({away.at[m, column]:.2f})" if gaps and m != "Re-train" else "")
            for m in mean.index
        ]
    for column, (label, digits) in {**headings, "seconds": ("seconds", 1)}.items():
        table[label] = [_mean_sd(mean.at[m, column], sd.at[m, column], digits) for m in mean.index]
    for column, (label, cap) in CAPPED.items():
        if column in summary:
            capped = summary.groupby("method", sort=False)[column].max() > cap
            table.loc[capped, label] = ">" + table.loc[capped, label]
    table["of re-training"] = [f"{100 * share:.0f} %" for share in mean.share_of_retrain]
    return table.reset_index()


def by_verdict(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Which methods have which verdict in most of their seeds, a row for each verdict."""
    most = verdicts.groupby("method", sort=False).finding.agg(in_most)
    order = [finding for finding in dict.fromkeys((*SHORT, *most)) if (most == finding).any()]
    methods = [", ".join(most.index[most == finding]) for finding in order]
    return pd.DataFrame({"verdict in most seeds": order, "methods": methods})


def findings_table(verdicts: pd.DataFrame, summary: pd.DataFrame) -> pd.DataFrame:
    """One row per method: its models' ratios, and the rule's verdicts counted by seeds, as text.

    ``verdicts`` as :func:`rurklib.study.measurement.verdicts` gives them; from ``summary`` come
    unlearn and test accuracy, Avg. Gap and LiRA's AUC, as in :func:`results_table`. Where no ratio
    is defined, a whole class being forgotten, differences and margins stand in its place. "All
    seeds, p" joins the seeds' p by :func:`rurklib.residual.verdict.combined`, for seeds share their
    references. "Treated differently" counts seeds by the exchange test.
    """
    small = results_table(summary, gaps=False).set_index("method")
    rows, columns = [], {"ratio (seeds)": "ratio_of_means"}
    if verdicts.ratio_of_means.isna().all():
        columns = {"difference (seeds)": "difference", "margin (seeds)": "margin_difference"}
    for method, seeds in verdicts.groupby("method", sort=False):
        row = {"method": method}
        for head, column in columns.items():
            low, mean, high = seeds[column].agg(["min", "mean", "max"])
            row[head] = f"{mean:.3f} ({low:.3f} ... {high:.3f})"
        row["verdict (seeds)"] = findings_of(seeds)
        if "treated" in seeds:
            row["treated differently"] = in_seeds(seeds.treated)
        row["all seeds, p"] = f"{combined(list(seeds.p)):.2g}".replace("nan", "-")
        rows.append(row | dict(small.loc[method, ["unlearn %", "test %", "Avg. Gap", "LiRA AUC"]]))
    return pd.DataFrame(rows)


def findings_of(verdicts: pd.DataFrame) -> str:
    """Verdicts (columns finding, mixed) counted: "2 none, 1 over-forgotten, 1 of them mixed"; "-"
    for none."""
    counts = verdicts.finding.value_counts()
    words = [f"{counts[k]} {short}" for k, short in SHORT.items() if k in counts]
    if "mixed" in verdicts and verdicts.mixed.any():
        words.append(f"{verdicts.mixed.sum()} of them mixed")
    return ", ".join(words) or "-"


def in_seeds(findings: Iterable[str]) -> str:
    """The findings of the exchange test for several models, counted: "2 surer, 1 alike"."""
    counts = Counter(findings)
    short = {SURER: "surer", LESS_SURE: "less sure", ALIKE: "alike"}
    return ", ".join(f"{counts[name]} {word}" for name, word in short.items() if counts[name])


def curves_table(frame: pd.DataFrame, *, differences: bool = False) -> pd.DataFrame:
    """Residual knowledge at every tau, a row for each perturbation and method, mean over seeds, and
    the bands of re-trained models; ``differences`` of accuracies in place of ratios."""
    value = "difference" if differences else "ratio_of_means"
    bounds = ["null_low", "null_high", "predict_low", "predict_high"]
    bounds = ["null_difference_low", "null_difference_high"] if differences else bounds
    keys = ["perturbation", "method"]
    wide = frame.pivot_table(index=keys, columns="tau", values=value, sort=False)
    band = frame[frame.method != "Re-train"].groupby(["perturbation", "tau"])[bounds].first()
    band = band.unstack().stack(level=0, future_stack=True).rename_axis(keys)
    return _tau_columns(pd.concat([wide, band]).round(3).reset_index())


# --- beside the paper ---------------------------------------------------------


def versus_paper(ours: pd.DataFrame, paper: pd.DataFrame) -> pd.DataFrame:
    """A run beside the paper's numbers: difference (ours - paper) and ``within``, whether mean ±
    standard deviation of one reaches that of the other.

    Either ``ours`` is a run's summary and ``paper`` has method; retain, unlearn, test and mia in
    percent, relearn (epochs, 31 reads "> 30"), each with its ..._sd; average_gap, without a spread.
    Or ``ours`` is a run's frame of residual knowledge and ``paper`` has perturbation, method, tau,
    ratio (of means) and reading_error, by which a value read from a figure may be off.

    Returns a row per method and quantity, or per perturbation, method and tau (to the fourth
    digit), that both have, with ours, ours_sd, paper, paper_sd, difference, within (missing where
    neither has a spread, or ours is missing).
    """
    if "tau" in paper:
        keys = ["perturbation", "method", "tau"]
        mine = ours[ours.method != "Re-train"].assign(tau=ours.tau.round(4))
        mine = mine.groupby(keys, sort=False).ratio_of_means.agg(ours="mean", ours_sd="std")
        columns = {"ratio": "paper", "reading_error": "paper_sd"}
        rows = paper.rename(columns=columns).assign(tau=paper.tau.round(4))
        rows = rows.merge(mine.reset_index(), on=keys)
    else:
        keys = ["method", "quantity"]
        mean, sd, _ = _by_method(ours)
        theirs = paper[paper.method.isin(mean.index)].set_index("method")
        found, both = list(PAPER.values()), theirs.index
        wide = {
            "ours": mean.loc[both, found],
            "ours_sd": sd.loc[both, found],
            "paper": theirs[list(PAPER)],
            "paper_sd": theirs.reindex(columns=[f"{quantity}_sd" for quantity in PAPER]),
        }
        named = {name: table.set_axis(list(PAPER), axis=1) for name, table in wide.items()}
        rows = pd.concat(named, axis=1).stack(future_stack=True).rename_axis(keys).reset_index()
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
    per quantity or tau; cells such as ``9.10 (paper 9.47, -0.37 *)``, with a star if ``within``."""
    index, column = ["method"], "quantity"
    if "tau" in rows:
        index, column = ["perturbation", "method"], "tau"
    text = rows.assign(cell=[_versus(r, digits) for r in rows.to_dict("records")])
    wide = text.pivot_table(index=index, columns=column, values="cell", aggfunc="first", sort=False)
    return _tau_columns(wide.fillna("-").reset_index())


def _versus(row: Mapping[str, Any], digits: int) -> str:
    cap = 30 if row.get("quantity") == "relearn" else math.inf
    texts = [f">{cap}" if row[k] > cap else f"{row[k]:.{digits}f}" for k in ("ours", "paper")]
    if pd.isna(row["ours"]):
        return f"- (paper {texts[1]})"
    star = " *" if not pd.isna(row["within"]) and row["within"] else ""
    return f"{texts[0]} (paper {texts[1]}, {row['difference']:+.{digits}f}{star})"


# --- which method to use ------------------------------------------------------


def compare(folders: Sequence[Path]) -> pd.DataFrame:
    """A row per data set and method, from the ``summary.csv`` and ``verdicts.csv`` of finished runs
    or of published pages.

    Columns: data (the scenario of a run; of a page its folder's name), method, seeds; ``like``, how
    many of them the rule doesn't tell from re-trained models; ``alike``, how many treat forget
    samples as held-out ones (:mod:`rurklib.residual.exchange`); test_accuracy, its mean in percent,
    beside that of the re-trained models (``retrained``) and of the worst of these (``lowest``);
    share_of_retrain, of the time; and ``passed``: the first two in most seeds, an accuracy of at
    least ``lowest``, and a share of at most a quarter, or of what a model took there that was
    re-trained for a quarter of the epochs. Of two folders of one scenario the last one counts.

    Raises InputError for a folder without these tables, or whose verdicts lack the exchange test.
    """
    tables = [_compared(folder) for folder in folders]
    return pd.concat(tables).drop_duplicates(["data", "method"], keep="last", ignore_index=True)


def published(figures: Path) -> list[Path]:
    """The pages below a folder that :func:`compare` can read: those of both tests."""
    found = sorted(path.parent for path in figures.glob("*/verdicts.csv"))
    return [f for f in found if "treated" in pd.read_csv(f / "verdicts.csv", nrows=0)]


def compare_table(rows: pd.DataFrame) -> pd.DataFrame:
    """:func:`compare` for people: a row per method, the best first."""
    by = rows.groupby("method", sort=False)
    total = by[["seeds", "like", "alike", "passed"]].sum()
    points, share = (rows.test_accuracy - rows.retrained).groupby(rows.method), by.share_of_retrain
    table = pd.DataFrame(
        {
            "passes (data sets)": _of(total.passed, by.size()),
            "like a re-trained model (seeds)": _of(total.like, total.seeds),
            "forget samples treated as held-out (seeds)": _of(total.alike, total.seeds),
            "test accuracy, points from re-trained": points.mean().map("{:+.1f}".format)
            + points.min().map(" (worst {:+.1f})".format),
            "of re-training's time": (100 * share.mean()).map("{:.0f} %".format)
            + (100 * share.max()).map(" (most {:.0f} %)".format),
        }
    )
    order = total.assign(tests=(total.like + total.alike) / total.seeds, quick=-share.mean())
    best = order.sort_values(["passed", "tests", "quick"], ascending=False).index
    return table.loc[best].reset_index()


def _compared(folder: Path) -> pd.DataFrame:
    """The rows of one data set."""
    for name in ("summary.csv", "verdicts.csv"):
        if not (folder / name).exists():
            raise InputError(f"{folder / name} is missing: expected a finished run, or its page")
    summary, verdicts = (pd.read_csv(folder / f"{n}.csv") for n in ("summary", "verdicts"))
    if "treated" not in verdicts:
        raise InputError(
            f"{folder / 'verdicts.csv'} has no column treated: expected verdicts of both tests; "
            "finish the run again, or leave it out if its held-out samples are no control"
        )
    record = folder / "run.json"
    data = store.read_json(record)["scenario"] if record.exists() else folder.resolve().name
    means = summary.groupby("method").mean(numeric_only=True)
    retrained = summary[summary.method == "Re-train"].test_accuracy
    judged = verdicts[verdicts.method != "Original"]
    judged = judged.assign(like=judged.finding == NONE, alike=judged.treated == ALIKE)
    by = judged.groupby("method", sort=False)
    rows = by[["like", "alike"]].sum()
    rows.insert(0, "seeds", by.size())
    rows["test_accuracy"] = means.test_accuracy
    rows["retrained"], rows["lowest"] = retrained.mean(), retrained.min()
    rows["share_of_retrain"] = means.share_of_retrain
    quick = rows.share_of_retrain <= max(QUARTER, rows.share_of_retrain.get(CONTROL, 0.0))
    both = rows[["like", "alike"]].gt(rows.seeds / 2, axis=0).all(axis=1)
    rows["passed"] = both & quick & (rows.test_accuracy >= rows.lowest)
    return rows.reset_index().assign(data=data)[["data", "method", *rows]]


# --- a run's page -------------------------------------------------------------

PASSES = (
    "A method passes if (1) in most seeds both tests find no difference: from re-trained models, "
    "and between forget and held-out samples; (2) it is at least as accurate on test samples as "
    "the worst re-trained model; and (3) it takes at most a quarter of the re-training time."
)
MEANING = (
    "Residual knowledge is how often a model recognises noisy copies of the forget samples, "
    "divided by how often re-trained models do. One is what forgetting gives; more, and something "
    "is left; less, and the model was pushed too far. The verdict tests the whole curve: is the "
    "model farther from the average re-trained one than a new one would be?"
)
VERDICTS = (
    "Ratio of means at the largest tau, mean (lowest ... highest); verdicts counted by seeds. "
    'Seeds share the re-trained models; "all seeds, p" takes that into account. "Treated '
    'differently": is the model surer of the forget samples than of held-out ones, or less sure?'
)
RESULTS = (
    "Mean ± standard deviation over models; in brackets the distance to the re-trained mean; "
    "Avg. Gap is the mean of the four. MIA: the share of forget samples that the paper's attack "
    "calls unseen (of held-out ones, where a whole class is forgotten). LiRA: 0.5 and z = 0 for a "
    "model that never saw them. Re-learn: epochs until Original's forget loss is reached. CR's MIA "
    "and LiRA can't be compared with the others'."
)
SECONDS = "{}. Seconds and shares of re-training are those of the machine where they were trained."
CURVES = "Mean over seeds; null_... bound the retrain band, predict_... the prediction interval."
PAPERS = (
    "Ours (the paper's, ours minus theirs). A star: at most both standard deviations together, or "
    "by what reading the paper's figure may be off."
)
SANITY = "Re-trained models never saw either, so they should be as accurate on both."


def write_report(run: Run) -> Path:
    """Write ``report.html`` into the run's folder: one file that opens without server or internet.

    Reads the tables and figures that notebooks 1 to 4 wrote, and says in ``figures/99_*.csv`` how
    the run's numbers stand beside the paper's, where its scenario has those. Raises InputError if a
    table is missing.
    """
    from rurklib.study.books import folder as notebooks_folder
    from rurklib.study.doubts import TABLES, paper_table
    from rurklib.study.models import shipped_models, trained_on
    from rurklib.study.pictures import saved_figures
    from rurklib.unlearn.contract import defaults

    names = ("summary", "residual_knowledge", "neighbourhoods", "verdicts")
    summary, frame, near, verdicts = (pd.read_csv(run.table(f"{n}.csv")) for n in names)
    environment = store.read_json(run.folder / "env.json")
    seeds = ", ".join(map(str, run.seeds))
    about = f"{run.title}; seeds {seeds}; {run.scenario.references} re-trained models."
    best = Part(text="The verdict in most seeds:", table=by_verdict(verdicts), note=about)
    if "treated" in verdicts:
        rows = compare([run.folder])
        text = f"{rows.passed.sum()} of {len(rows)} methods pass. The best five:"
        best = Part(text=text, table=compare_table(rows).head(5), note=f"{about} {PASSES}")
    leak = trained_on(run.data, run.split)
    models = shipped_models(run)
    curves = curves_table(frame, differences=run.whole_class)
    seconds = SECONDS.format(models) if models else ""
    retrained = summary[summary.method == "Re-train"].mean(numeric_only=True)
    unseen = {"forget": 100 - retrained.unlearn_accuracy, "held-out": retrained.held_out_accuracy}
    sanity = pd.DataFrame(unseen.items(), columns=["samples", "accuracy, %"]).round(1)
    settings = pd.DataFrame(
        [
            (f"{method}.{name}", str(value), str(defaults(method)[name]))
            for method in run.scenario.methods
            for name, value in run.scenario.hyperparameters(method).items()
        ],
        columns=["hyper-parameter", "value", "default (the paper's, where it gives one)"],
    )
    parts = [
        best,
        *([Part("Warning", f"{leak}.")] if leak else []),
        Part("The verdict", MEANING, findings_table(verdicts, summary), note=VERDICTS),
        Part("The comparison", seconds, results_table(summary), note=RESULTS),
        Part("Sanity", SANITY, sanity),
        Part("Residual knowledge", table=curves, note=CURVES),
    ]
    for what, file in run.scenario.paper.items():
        ours, digits = (summary, 2) if what == "table" else (frame, 3)
        rows = versus_paper(ours, pd.read_csv(notebooks_folder() / file))
        store.write_frame(run.folder / "figures" / f"99_{what}.csv", rows)
        title = f"The paper's {what} beside ours"
        text = versus_paper_text(rows, digits)
        parts.append(Part(title, table=text, note=PAPERS, folded=what == "curves"))
    for column, title in TABLES.items():
        title = f"Near each forget sample: {title}; mean over models"
        parts.append(Part(title, table=paper_table(near, column).round(2), folded=True))
    pictures = [(path, alt, alt) for path, alt in saved_figures(run)]
    facts = pd.DataFrame([(k, str(v)) for k, v in environment.items()], columns=["what", "value"])
    parts += [
        Part("Figures", pictures=pictures),
        Part("Settings of every method, and their defaults", table=settings, folded=True),
        Part("Environment", table=facts, folded=True),
    ]
    # The name of somebody's own data: of a file, of a folder.
    known = run.data.name.split("-")[0] in run.scenario.name
    title = f"Residual knowledge: {run.scenario.name}" + ("" if known else f", {run.data.name}")
    page(run.folder / "report.html", title, parts)
    return run.folder / "report.html"


def tables(run: Run) -> Path:
    """Train, unlearn, measure; every table, the curves and report.html, whose path is returned.

    No notebook: those also train by hand what they explain, and ask about further perturbations.
    They can be executed later in the same folder, and take what is there. Where as much of a class
    is retained as forgotten, and held-out samples are of the same kind, there is memory.csv besides
    (:func:`rurklib.study.doubts.memory`).
    """
    from rurklib.study import measurement, models
    from rurklib.study.doubts import memory, neighbourhoods
    from rurklib.study.pictures import draw_curves, scale_of
    from rurklib.study.summary import summarise

    models.train(run)
    models.unlearn(run)
    perturbation, frame = run.scenario.perturbations[0], measurement.measure(run)
    result = measurement.residual(run, perturbation, controls=[HELD_OUT])
    verdicts = measurement.verdicts(result)
    store.write_frame(run.folder / "verdicts.csv", verdicts)
    scale = scale_of(run, perturbation, run.scenario.references)
    draw_curves(scale, frame[frame.perturbation == perturbation], verdicts)
    if models.halved(run) and not result.unlike_held_out:
        memory(run)
    neighbourhoods(run)
    summarise(run)
    return write_report(run)


# --- pieces -------------------------------------------------------------------


def _by_method(summary: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Means and standard deviations over a method's models, and how far percentages are from
    Re-train's; average_gap as in the paper: of the means, without a spread."""
    grouped = summary.groupby("method", sort=False)
    mean, sd = grouped.mean(numeric_only=True), grouped.std(ddof=1, numeric_only=True)
    away = (mean[PERCENT] - mean.loc["Re-train", PERCENT]).abs()
    mean["average_gap"], sd["average_gap"] = away.mean(axis=1), math.nan
    return mean, sd, away


def _tau_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Columns of floats named as what they are: taus."""
    table = table.rename_axis(columns=None)
    return table.rename(columns=lambda c: f"tau {c:g}" if isinstance(c, float) else str(c))


def _mean_sd(mean: float, sd: float, digits: int) -> str:
    """Mean ± standard deviation as text, the latter only where there is one; "-" for NaN."""
    if math.isnan(mean):
        return "-"
    return f"{mean:.{digits}f}" + ("" if math.isnan(sd) else f" ± {sd:.{digits}f}")


def _of(some: pd.Series, every: pd.Series) -> pd.Series:
    return some.astype(int).astype(str) + " of " + every.astype(str)
