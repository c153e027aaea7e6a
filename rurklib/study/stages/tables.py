"""A study without its notebooks: its tables and its curves, for what takes hours at scale."""

from pathlib import Path

from rurklib.residual.controls import HELD_OUT
from rurklib.study import files
from rurklib.study.report.pictures import draw_curves, scale_of
from rurklib.study.run import Run
from rurklib.study.stages.doubts import memory, neighbourhoods
from rurklib.study.stages.measure import measure, residual, verdicts
from rurklib.study.stages.models import halved, train, unlearn
from rurklib.study.stages.report_page import write_report
from rurklib.study.stages.summary import summarise


def tables(run: Run) -> Path:
    """Train, unlearn, measure; every table, the curves and report.html, whose path is returned.

    No notebook: those also train by hand what they explain, and ask about further perturbations.
    They can be executed later in the same folder, and take what is there. Where as much of a class
    is retained as forgotten, and held-out samples are of the same kind, there is memory.csv besides
    (:func:`rurklib.study.stages.doubts.memory`).
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
