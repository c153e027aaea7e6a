"""``rurk tune``: choose hyper-parameters on a rehearsal."""

from pathlib import Path
from typing import Any

import click

from rurklib.study import brought
from rurklib.study.cli import options
from rurklib.study.scenarios.scenario import read_seeds
from rurklib.unlearn.contract import METHODS


@click.command()
@options.SCENARIO
@click.option("--out", type=options.FOLDER, help="folder [default: runs/SCENARIO-tune]")
@click.option("--methods", help=f"of {', '.join(sorted(METHODS))} [default: all of the scenario]")
@click.option("--budget", default=24, show_default=True, help="trials of each method")
@click.option(
    "--seeds",
    default="900,901,902,903,904,905",
    show_default=True,
    help="Originals of the rehearsal: the first two for every trial, all for the best three",
)
@click.option("--references", default=4, show_default=True, help="re-trained models to be near to")
@options.CHANGES
@click.option("--jobs", default=1, show_default=True, help="trials made at a time")
def tune(
    scenario: str,
    out: Path | None,
    methods: str | None,
    budget: int,
    seeds: str,
    references: int,
    changes: tuple[str, ...],
    jobs: int,
) -> None:
    """Choose hyper-parameters on a rehearsal, with the same budget for every method.

    Other samples are forgotten than in the study, and the validation part is tested on. Every
    trial is kept in trials.csv; the best settings go to settings.json, which rurk study --settings
    takes.
    """
    from rurklib.study.run import open_run
    from rurklib.study.tuning import chosen_trials
    from rurklib.study.tuning import tune as search

    folder = out or Path("runs") / f"{scenario}-tune"
    choices: dict[str, Any] = {
        "seeds": read_seeds(seeds),
        "settings": {"references": references, **options.settings(None, changes)},
        "jobs": jobs,
        "rehearsal": True,
        "brought": brought.given(),
    }
    names = methods.split(",") if methods else None
    with options.locked(scenario, folder, **choices):
        run = open_run(scenario, folder, **choices)
        table = search(run, methods=names, budget=budget)
    click.echo(
        "distance to re-trained models in percentage points: of the defaults and the best trial on "
        "the first Originals, and of the best trial on all"
    )
    shown = chosen_trials(table)[["method", "defaults", "screened", "score", "settings"]]
    click.echo(shown.round(2).to_string(index=False))
    click.echo(f"\nall trials: {folder / 'trials.csv'}")
    again = "".join(f" --with {path}" for path in brought.GIVEN)
    click.echo(f"use them: rurk study --settings {folder / 'settings.json'}{again}")
