"""A run on one page, ``report.html``: the answer first, then what it rests on."""

from pathlib import Path

import pandas as pd

from rurklib.residual.controls import HELD_OUT
from rurklib.study import files, shipped
from rurklib.study.doubts import TABLES, memory, neighbourhoods, paper_table
from rurklib.study.measurement import measure, residual, verdicts
from rurklib.study.models import halved, train, trained_on, unlearn
from rurklib.study.report import page
from rurklib.study.report import tables as frames
from rurklib.study.report.pictures import draw_curves, saved_figures, scale_of
from rurklib.study.run import Run
from rurklib.study.source import notebooks_folder
from rurklib.study.summary import summarise
from rurklib.unlearn.contract import defaults

MEANING = (
    "Residual knowledge is how often a model recognises slightly changed copies of what it was to "
    "forget, divided by how often models do that were re-trained without it. One is what "
    "forgetting gives; more, and something is left; less, and the model was pushed too far, which "
    "gives the forget samples away as well. The verdict tests the whole curve: is the model "
    "farther from the average re-trained one than a new re-trained model would be?"
)
VERDICTS = (
    "One rule for the whole curve, a seed at a time. Ratio of means at the largest tau, mean "
    "(lowest ... highest). Seeds share the re-trained models, so their count has no error rate; "
    '"all seeds, p", their p joined, has. "Treated differently": seeds whose model is surer, or '
    "less sure, of the forget samples than of held-out ones of their class, or alike."
)
RESULTS = (
    "Mean ± standard deviation over models; in brackets the distance to the re-trained mean. "
    "Unlearn accuracy is 100 - forget accuracy. MIA: what the paper's attack calls unseen of "
    "the forget samples (of held-out ones, where a whole class is forgotten). CR's new head has "
    "other confidences than a softmax net: compare its accuracies, not its MIA and LiRA. LiRA: 0.5 "
    "and z = 0 for a model that never saw them. Re-learn: epochs until Original's forget loss is "
    "reached. Avg. Gap: mean of the four distances."
)
SECONDS = (
    "Models: {}. Seconds are those recorded where a model was trained, and shares of re-training "
    "are of the seconds there; a run with --fresh has its own."
)
SANITY = (
    "Sanity: re-trained models never saw either, so they should be as accurate on the forget "
    "samples as on the held-out ones, which are test samples of their class."
)
CURVES = (
    "Mean over seeds; null_... bound the retrain band, predict_... the 95 % prediction interval "
    "for one more re-trained model, at each tau."
)
PAPERS = (
    "Ours (the paper's, ours minus theirs). A star: at most both standard deviations together. "
    "A curve of the paper's has no spread over seeds: there it is what reading the figure may be "
    "off by."
)


def write_report(run: Run) -> Path:
    """Write ``report.html`` into the run's folder: one file that opens without server or internet.

    Reads the tables and figures that notebooks 1 to 4 wrote, and says in ``figures/99_*.csv`` how
    the run's numbers stand beside the paper's, where its scenario has those. Raises InputError if a
    table is missing.
    """
    names = ("summary", "residual_knowledge", "neighbourhoods", "verdicts")
    summary, frame, near, verdicts = (pd.read_csv(run.table(f"{n}.csv")) for n in names)
    seeds = ", ".join(map(str, run.seeds))
    models = f"seeds {seeds}; {run.scenario.references} re-trained models"
    known = files.read_json(run.folder / "env.json")
    blocks: list[page.Block] = [
        page.Text(f"{run.title}; {models}."),
        page.Table(frames.by_verdict(verdicts), MEANING),
    ]
    if leak := trained_on(run.data, run.split):
        blocks.append(page.Text(f"Warning: {leak}."))
    blocks += [
        page.Heading("The verdict"),
        page.Table(frames.findings_table(verdicts, summary), VERDICTS),
        page.Heading("The comparison"),
        page.Table(frames.results_table(summary), RESULTS),
        *([page.Text(SECONDS.format(others))] if (others := known.get(shipped.NOTED)) else []),
        page.Table(_sanity(summary), SANITY),
        page.Heading("Residual knowledge"),
        page.Table(frames.curves_table(frame, differences=run.whole_class), CURVES),
    ]
    for what, file in run.scenario.paper.items():
        rows = frames.versus_paper(
            summary if what == "table" else frame, pd.read_csv(notebooks_folder() / file)
        )
        files.write_frame(run.folder / "figures" / f"99_{what}.csv", rows)
        text = frames.versus_paper_text(rows, 2 if what == "table" else 3)
        blocks.append(page.Heading(f"The paper's {what} beside ours"))
        blocks.append(page.Table(text, PAPERS, folded=what == "curves"))
    blocks.append(page.Heading("Near each forget sample"))
    for column, title in TABLES.items():
        table = paper_table(near, column).round(2)
        blocks.append(page.Table(table, f"{title}; mean over models", folded=True))
    blocks.append(page.Heading("Figures"))
    blocks += [page.Picture(path, alt, alt) for path, alt in saved_figures(run)]
    facts = [(k, str(v)) for k, v in known.items()]
    environment = pd.DataFrame(facts, columns=["what", "value"])
    choices = page.Table(_choices(run), "Settings of every method, and their defaults", folded=True)
    blocks += [
        page.Heading("How it was made"),
        choices,
        page.Table(environment, "Environment", True),
    ]
    path = run.folder / "report.html"
    page.write_page(path, _title(run.scenario.name, run.data.name), blocks)
    return path


def _title(scenario: str, data: str) -> str:
    """The page's, with the name of somebody's own data: of a file, of a folder.

    >>> _title("npz", "pneumonia"), _title("fashion", "fashion-mnist")
    ('Residual knowledge: npz, pneumonia', 'Residual knowledge: fashion')
    """
    own = "" if data.split("-")[0] in scenario else f", {data}"
    return f"Residual knowledge: {scenario}{own}"


def _sanity(summary: pd.DataFrame) -> pd.DataFrame:
    """How accurate re-trained models are on two sets that they never saw, in percent."""
    mean = summary[summary.method == "Re-train"].mean(numeric_only=True)
    accuracy = [100 - mean.unlearn_accuracy, mean.held_out_accuracy]
    samples = ["forget samples", "held-out samples"]
    return pd.DataFrame({"re-trained models on": samples, "accuracy, %": accuracy}).round(1)


def _choices(run: Run) -> pd.DataFrame:
    """The hyper-parameters of a run's methods beside their defaults."""
    rows = [
        (f"{m}.{name}", str(value), str(defaults(m)[name]))
        for m in run.scenario.methods
        for name, value in run.scenario.hyperparameters(m).items()
    ]
    head = ["hyper-parameter", "value", "default (the paper's, where it gives one)"]
    return pd.DataFrame(rows, columns=head)


def tables(run: Run) -> Path:
    """Train, unlearn, measure; every table, the curves and report.html, whose path is returned.

    No notebook: those also train by hand what they explain, and ask about further perturbations.
    They can be executed later in the same folder, and take what is there. Where as much of a class
    is retained as forgotten, and held-out samples are of the same kind, there is memory.csv besides
    (:func:`rurklib.study.doubts.memory`).
    """
    train(run)
    unlearn(run)
    law, frame = run.scenario.perturbations[0], measure(run)
    result = residual(run, law, controls=[HELD_OUT])
    judged = verdicts(result)
    files.write_frame(run.folder / "verdicts.csv", judged)
    scale = scale_of(run, law, run.scenario.references)
    draw_curves(scale, frame[frame.perturbation == law], judged)
    if halved(run) and not result.unlike_held_out:
        memory(run)
    neighbourhoods(run)
    summarise(run)
    return write_report(run)
