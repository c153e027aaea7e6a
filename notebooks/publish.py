"""Copy a finished run's figures and tables into the repository, as readers see them there.

    python notebooks/publish.py runs/digits
    python notebooks/publish.py runs/ablations
    python notebooks/publish.py runs/beyond-images

They go to ``figures/NAME``, NAME being the folder's, with the trials of ``runs/NAME-tune`` if there
are any. For the run that the notebooks' own parameters cells describe, the executed notebooks are
copied too: what a reader sees must be what the cell says. Pictures of other data than those that
come with scikit-learn are left out, for they may not be ours to copy.

A sweep's folder is read by notebook 95, which is executed here as it stands, and so is the one cell
that notebook 5's own parameters describe. ``runs/ablations-NAME`` goes to
``figures/ablations/NAME``. The folder of notebook 7 holds the executed notebook.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pandas as pd

from rurklib import papermilled
from rurklib.batch import ATTACKS, folder, notebooks_of
from rurklib.check import InputError
from rurklib.plots import beside_text, findings_table, results_table
from rurklib.run import plan_run
from rurklib.store import read_json, replacing, write_frame
from rurklib.tune import chosen_trials

OF_DATA = (
    "01_samples",
    "03_copies",
    "03_ranked",
    "04_samples",
    "04_copy",
)  # figures that show samples
SWEPT = ("05_ablations", "95_read_ablations")
BEYOND = "07_beyond_images"
ROOT = Path(__file__).parent.parent
FIGURES = ROOT / "figures"


def publish(run: Path) -> None:
    """Replace the committed outputs and figures with those of ``run``."""
    name = run.name
    own = name == read_json(run / "run.json")["scenario"] == "digits"
    if own:
        planned = plan_run(name, run)  # refuses a run with other settings
        for notebook in notebooks_of(planned):
            publish_notebook(run, notebook)
        if (run / "notebooks" / f"{ATTACKS}.ipynb").exists():  # of those who asked for it
            publish_notebook(run, ATTACKS)
    target = FIGURES / name
    tables = [run / t for t in ("summary.csv", "residual_knowledge.csv", "env.json")]
    for needed in (*tables, run / "report.html"):
        if not needed.exists():
            raise InputError(f"{needed} is missing: finish the study first")
    for old in target.glob("[09]*.*"):
        old.unlink()
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted((run / "figures").glob("[09]*.*")):
        if path.suffix in (".png", ".csv") and (own or path.stem not in OF_DATA):
            shutil.copy(path, target / path.name)
    for table in (*tables, run / "verdicts.csv", run / "attacks.csv"):
        if table.exists():
            shutil.copy(table, target / table.name)
    trials = run.with_name(f"{name}-tune") / "trials.csv"
    if trials.exists():
        shutil.copy(trials, target / trials.name)
    write_answers()
    for page in (ROOT / "README.md", target / "README.md"):
        write_tables(page)


def publish_sweep(out: Path) -> None:
    """Execute the notebooks of a sweep with the parameters that they show; copy what they draw."""
    name = out.name
    if name == "ablations":  # what notebook 95's own parameters say
        for notebook in SWEPT:
            source = folder() / f"{notebook}.ipynb"
            with replacing(out / source.name) as partial:
                papermilled.execute(source, partial, {}, cwd=source.parent)
            publish_outputs(out / source.name, source)
    else:
        reader = folder() / f"{SWEPT[-1]}.ipynb"
        given = {"out": str(out.absolute()), "results": str(out.absolute() / "results.csv")}
        papermilled.execute(reader, out / reader.name, given, cwd=reader.parent)
    target = FIGURES / "ablations" / name.removeprefix("ablations").lstrip("-")
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted((out / "figures").glob("95_*")):
        if path.suffix in (".png", ".csv"):
            shutil.copy(path, target / path.name)
    write_tables(FIGURES / "ablations" / "README.md")


def publish_beyond(out: Path) -> None:
    """Notebook 7's outputs, and what it drew."""
    publish_outputs(out / f"{BEYOND}.ipynb", folder() / f"{BEYOND}.ipynb")
    target = FIGURES / out.name
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted((out / "figures").glob("07_*")):
        if path.suffix in (".png", ".csv"):
            shutil.copy(path, target / path.name)
    write_answers()
    write_tables(ROOT / "README.md")


# Data by the file of its ratios, as a reader calls them.
DATA = {
    "digits/residual_knowledge": "digits, half of the nines",
    "cifar5/residual_knowledge": "small CIFAR-5, half of the airplanes",
    "fashion/residual_knowledge": "Fashion-MNIST, half of the shirts",
    "beyond-images/07_npz": "chest X-rays, half of the normal ones",
    "beyond-images/07_sms": "SMS, half of the spam",
    "beyond-images/07_trec": "TREC questions, a tenth of a class",
    "beyond-images/07_sst2": "SST-2 sentences, a tenth of a class",
    "beyond-images/07_breast-cancer": "breast cancer (table), half of a class",
    "beyond-images/07_iris": "Iris (table), half of a class",
}


def write_answers() -> None:
    """``answers.csv``: Original and RURK on all data, at tau 0 and at the middle radius.

    Mean over seeds of the ratio, from the lowest to the highest limit of the models' intervals, and
    how many seeds are outside what a further re-trained model would show.
    """
    rows = []
    for file, said in DATA.items():
        path = FIGURES / f"{file}.csv"
        if not path.exists():
            continue
        frame = pd.read_csv(path)
        frame = frame[frame.get("law", frame.get("perturbation")) == "gaussian"]
        taus = sorted(frame.tau.unique())
        for tau in (taus[0], taus[len(taus) // 2]):
            row = {"data": said, "tau": f"{tau:g}"}
            for method in ("Original", "RURK"):
                its = frame[(frame.method == method) & (frame.tau == tau)]
                middle, low, high = (
                    its.ratio_of_means.mean(),
                    its.ratio_low.min(),
                    its.ratio_high.max(),
                )
                row[method] = f"{middle:.3f} [{low:.3f}, {high:.3f}]"
                out = its[its.p_value < 0.05]
                up = int((out.difference > 0).sum())
                counts = {"above": up, "inside": len(its) - len(out), "below": len(out) - up}
                row[f"{method}: seeds"] = ", ".join(f"{n} {k}" for k, n in counts.items() if n)
            limits = its[["predict_low", "predict_high"]].mean()
            row["a further re-trained model"] = f"{limits.iloc[0]:.3f} to {limits.iloc[1]:.3f}"
            rows.append(row)
    columns = ["data", "tau", "a further re-trained model", "Original", "Original: seeds", "RURK",
               "RURK: seeds"]  # fmt: skip
    write_frame(FIGURES / "beyond-images" / "answers.csv", pd.DataFrame(rows)[columns])


def write_tables(page: Path) -> None:
    """The page with its tables as the CSVs are now, if there is such a page."""
    if page.exists():
        page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")


def with_tables(text: str) -> str:
    """``text`` with the table behind each mark made anew from its CSV; where there is no such file,
    nothing was measured yet, and what stands there stays."""

    def table(found: re.Match[str]) -> str:
        if not (FIGURES / found[2] / found[3]).exists():
            return found[0]
        return found[1] + markdown(TABLES[found[3]](FIGURES / found[2]))

    return MARK.sub(table, text)


def markdown(table: pd.DataFrame) -> str:
    """A frame as lines of a Markdown table."""
    rows = [list(table.columns), ["---", *["---:"] * (len(table.columns) - 1)], *table.to_numpy()]
    return "".join("| " + " | ".join(map(str, row)) + " |\n" for row in rows)


def results(folder: Path) -> pd.DataFrame:
    return results_table(pd.read_csv(folder / "summary.csv"))


def findings(folder: Path) -> pd.DataFrame:
    return findings_table(*(pd.read_csv(folder / f"{n}.csv") for n in ("verdicts", "summary")))


def calibrated(folder: Path) -> pd.DataFrame:
    """RURK, RURK-calibrated and short re-trainings on eight Originals of each data set."""
    named = {"RURK": "RURK", "linked, 6 epochs": "RURK-calibrated, 6 epochs",
             "linked, 8 epochs": "RURK-calibrated, 8 epochs",
             "re-trained, 10 epochs": "re-trained for 10 epochs"}  # fmt: skip
    rows = []
    for name in ("digits", "cifar5", "fashion"):
        table = pd.read_csv(folder / f"calibrated_{name}.csv").set_index("method")
        for key, said in named.items():
            its = table.loc[key]
            rows.append(
                {
                    "": f"{name}: {said}",
                    "ratio": f"{its.ratio:.3f} ± {its.ratio_spread:.3f}",
                    "on retained samples": f"{its.ratio_retained:.2f}",
                    "inside by ratio %": f"{its.in_predicted:.0f}",
                    "inside by margin %": f"{its.in_margin:.0f}",
                    "Avg. Gap": f"{its.average_gap:.1f}",
                    "cost, % of re-training": f"{100 * its.share_of_retrain:.0f}",
                }
            )
    return pd.DataFrame(rows)


def choices(folder: Path) -> pd.DataFrame:
    trials = pd.read_csv(folder / "trials.csv", keep_default_na=False)
    table = chosen_trials(trials)[["method", "defaults", "screened", "score", "settings"]]
    table["settings"] = table.settings.replace("", "the defaults")
    names = {"screened": "chosen", "score": "chosen, all Originals"}
    return table.round(2).rename(columns=names)


def as_it_is(table: str) -> Callable[[Path], pd.DataFrame]:
    return lambda folder: pd.read_csv(folder / table, dtype=str, keep_default_na=False)


def table_beside(folder: Path) -> pd.DataFrame:
    return beside_text(pd.read_csv(folder / "99_table.csv"))


def curves_beside(folder: Path) -> pd.DataFrame:
    rows = pd.read_csv(folder / "99_curves.csv")
    return beside_text(rows[rows.perturbation == "gaussian"], digits=3).drop(columns="perturbation")


# A line such as "<!-- figures/digits/summary.csv: made by notebooks/publish.py -->" and its table.
MARK = re.compile(
    r"(<!-- figures/([\w/-]+)/(\w+\.csv): made by \S+ -->\n)(?:\|.*\n|not measured yet\n)*"
)
TABLES = {
    "summary.csv": results,
    "verdicts.csv": findings,
    "calibrated_digits.csv": calibrated,
    "answers.csv": as_it_is("answers.csv"),
    "trials.csv": choices,
    "95_table_c4.csv": as_it_is("95_table_c4.csv"),
    "95_table_c5.csv": as_it_is("95_table_c5.csv"),
    "99_table.csv": table_beside,
    "99_curves.csv": curves_beside,
}


def publish_notebook(run: Path, notebook: str) -> None:
    """Replace a committed notebook's outputs with those of the executed one."""
    source = folder() / f"{notebook}.ipynb"
    publish_outputs(run / "notebooks" / source.name, source)


def publish_outputs(executed: Path, source: Path) -> None:
    book = nbformat.read(executed, as_version=4)
    written = [c.source for c in nbformat.read(source, as_version=4).cells]
    book.cells = [c for c in book.cells if "injected-parameters" not in c.metadata.get("tags", [])]
    if [c.source for c in book.cells] != written:
        raise InputError(f"{source.name} changed after {executed} was made: run it again")
    for count, cell in enumerate((c for c in book.cells if c.cell_type == "code"), start=1):
        tags = cell.metadata.get("tags", [])
        cell.metadata = {"tags": tags} if tags else {}
        cell.execution_count = count
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = count
    for cell in book.cells:
        if cell.cell_type == "markdown":
            cell.metadata = {}
    book.metadata = {k: book.metadata[k] for k in ("kernelspec", "language_info")}
    nbformat.write(book, source)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        run = Path(sys.argv[1])
        if (run / f"{BEYOND}.ipynb").exists():
            publish_beyond(run)
        elif (run / "sweep.json").exists():
            publish_sweep(run)
        else:
            publish(run)
    except InputError as error:
        sys.exit(f"publish: {error}")
