"""``rurk train``: only the models that take long, also by several processes together."""

import contextlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from rurklib.study.cli import options


@click.command()
@options.of_a_study
def train(scenario: str, folder: Path, choices: dict[str, Any]) -> None:
    """Train the models of a study, and stop before anything is unlearned.

    These are Original and Re-train, and what they start from if the scenario pre-trains. What is
    finished already is skipped, nothing is taken from the package; the study takes them as they
    are.

    \b
    Several GPUs train each model together if it is started so:
      torchrun --nproc-per-node 4 -m rurklib train --scenario cifar10
      rurk study --scenario cifar10
    """
    from rurklib.study.run import open_run
    from rurklib.study.scale import processes
    from rurklib.study.stages import models

    if processes.size() > 1:
        processes.fabric()  # now, for it says which GPU is whose
    if processes.rank() > 0:
        processes.wait()  # for the first one to open the run, which writes
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            planned = open_run(scenario, folder, **choices, dry=True)
            models.train(replace(planned, trained_here=True))
            processes.wait()
        return
    with options.locked(scenario, folder, **choices):
        run = open_run(scenario, folder, **choices)
        processes.wait()
        click.echo(run.title)
        models.train(replace(run, trained_here=True))
        processes.wait()
    click.echo(f"models: {run.folder / 'models'}")
