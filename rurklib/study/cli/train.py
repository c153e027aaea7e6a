"""``rurk train``: only the models that take long, also by several processes together."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import click

from rurklib.study.cli import options

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.option("--scenario", default="digits", show_default=True, help="what to train for")
@click.option("--out", type=click.Path(path_type=Path), help="run folder [default: runs/SCENARIO]")
@click.option("--seeds", help="experiment seeds [default: the scenario's; 0,1,2 for digits]")
@click.option("--set", "changes", multiple=True, metavar="NAME=VALUE", help="change a setting")
@click.option("--settings", "file", type=FILE, help="settings from a JSON file")
def train(
    scenario: str, out: Path | None, seeds: str | None, changes: tuple[str, ...], file: Path | None
) -> None:
    """Train the models of a study, and stop before anything is unlearned.

    These are Original and Re-train, and what they start from if the scenario pre-trains. What is
    finished already is skipped; the study takes them as they are.

    \b
    Several GPUs train each model together if it is started so:
      torchrun --nproc-per-node 4 -m rurklib train --scenario cifar10
      rurk study --scenario cifar10
    """
    from rurklib import study
    from rurklib.study.run import open_run, plan_run
    from rurklib.study.scale import processes

    folder = out or Path("runs") / scenario
    choices: dict[str, Any] = {
        "seeds": None if seeds is None else options.numbers("--seeds", seeds),
        "settings": options.settings(file, changes),
    }
    if processes.size() > 1:
        processes.fabric()  # now, for it says which GPU is whose
    if processes.rank() > 0:
        processes.wait()  # for the first one to open the run, which writes
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            study.train(plan_run(scenario, folder, **choices))
            processes.wait()
        return
    with options.locked(scenario, folder, **choices):
        run = open_run(scenario, folder, **choices)
        processes.wait()
        click.echo(run.title)
        study.train(run)
        processes.wait()
    click.echo(f"models: {run.folder / 'models'}")
