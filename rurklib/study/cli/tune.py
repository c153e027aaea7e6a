"""``rurk tune``: choose hyper-parameters on a rehearsal."""

from pathlib import Path
from typing import Any

import click

from rurklib.checks import InputError
from rurklib.checks import seeds as read_seeds
from rurklib.study import brought
from rurklib.study.cli import options
from rurklib.study.scenarios.scenario import literal
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
@click.option(
    "--try",
    "tries",
    multiple=True,
    metavar="SETTINGS",
    help='"RURK: lambda_f=0.01; lambda_a=0.0005", tried beside the drawn ones (again for each)',
)
@options.CHANGES
@click.option("--jobs", default=1, show_default=True, help="trials made at a time")
def tune(
    scenario: str,
    out: Path | None,
    methods: str | None,
    budget: int,
    seeds: str,
    references: int,
    tries: tuple[str, ...],
    changes: tuple[str, ...],
    jobs: int,
) -> None:
    """Choose hyper-parameters on a rehearsal, with the same budget for every method.

    Other samples are forgotten than in the study, and the validation part is tested on. Every
    trial is kept in trials.csv; the best settings go to settings.json, which rurk study --settings
    takes.
    """
    from rurklib.study.run import open_run
    from rurklib.study.stages.tune import chosen_trials
    from rurklib.study.stages.tune import tune as search

    folder = out or Path("runs") / f"{scenario}-tune"
    choices: dict[str, Any] = {
        "seeds": read_seeds(seeds),
        "settings": {"references": references, **options.settings(None, changes)},
        "jobs": jobs,
        "rehearsal": True,
        "brought": brought.given(),
    }
    names = methods.split(",") if methods else None
    more: dict[str, list[dict[str, Any]]] = {}
    for text in tries:
        name, _, values = text.partition(":")
        parts = [part.partition("=") for part in values.split(";")]
        if not all(sign for _, sign, _ in parts):
            raise InputError(f'--try {text!r}: expected "METHOD: NAME=VALUE; NAME=VALUE"')
        own = {key.strip(): literal(value.strip()) for key, _, value in parts}
        more.setdefault(name.strip(), []).append(own)
    with options.locked(scenario, folder, **choices):
        run = open_run(scenario, folder, **choices)
        table = search(run, methods=names, budget=budget, tries=more)
    click.echo(
        "distance to re-trained models in percentage points: of the defaults and the best trial on "
        "the first Originals, and of the best trial on all"
    )
    shown = chosen_trials(table)[["method", "defaults", "screened", "score", "settings"]]
    click.echo(shown.round(2).to_string(index=False))
    click.echo(f"\nall trials: {folder / 'trials.csv'}")
    again = "".join(f" --with {path}" for path in brought.GIVEN)
    click.echo(f"use them: rurk study --settings {folder / 'settings.json'}{again}")
