"""Every table of a study without its notebooks: what takes hours at scale, and no more."""

from pathlib import Path

from rurklib.study import files
from rurklib.study.run import Run
from rurklib.study.stages.measure import measure, residual, verdicts
from rurklib.study.stages.memory import memory
from rurklib.study.stages.models import train, unlearn
from rurklib.study.stages.neighbourhoods import neighbourhoods
from rurklib.study.stages.report_page import write_report
from rurklib.study.stages.summary import summarise


def tables(run: Run) -> Path:
    """Train, unlearn, measure; every table and report.html, whose path is returned.

    No notebook and no picture: those also train by hand what they explain, and ask about further
    perturbations. They can be made later in the same folder, and take what is there. Where as much
    of a class is retained as forgotten there is memory.csv besides
    (:func:`rurklib.study.stages.memory.memory`).
    """
    train(run)
    unlearn(run)
    measure(run)
    judged = verdicts(residual(run, run.scenario.perturbations[0]))
    files.write_frame(run.folder / "verdicts.csv", judged)
    if run.split.of_class(run.pair("retain")[1]).sum() >= len(run.split.forget):
        memory(run)
    neighbourhoods(run)
    summarise(run)
    return write_report(run)
