"""``rurk attack``: every attack on the models of a study."""

from pathlib import Path

import click

from rurklib.checks import InputError, count
from rurklib.study import brought
from rurklib.study.cli import options


@click.command()
@options.FINISHED
@click.option("--set", "changes", multiple=True, metavar="NAME=VALUE", help="notebook 7's values")
@click.option("--jobs", default=1, show_default=True, help="models attacked at a time")
@click.option(
    "--beside",
    "others",
    multiple=True,
    type=options.FOLDER,
    help="an attacked run of other data, for a table of several (again for each)  "
    "[default: runs/cifar5 and runs/fashion of a checkout, if they are there]",
)
def attack(folder: Path, changes: tuple[str, ...], jobs: int, others: tuple[Path, ...]) -> None:
    """Try every attack on the models of a study, and cheating unlearners (notebook 7).

    Writes attacks.csv, the executed notebook and its figures into the folder. If there is no
    runs/digits yet, its models are taken from the package, or made.
    """
    from rurklib.study import files
    from rurklib.study.run import open_existing
    from rurklib.study.stages.attack_tables import ATTACKS_FILE

    options.begin_digits(folder, count("--jobs", jobs))
    run = open_existing(folder)
    if more := set(brought.named("method")) - set(run.scenario.methods):
        raise InputError(f"{folder} was run without {min(more)}: begin with rurk study --with")
    values = {"out": str(folder.resolve()), "jobs": jobs}
    values |= options.settings(None, changes)
    for other in others:
        if not (other / ATTACKS_FILE).exists():
            mend = "rurk attack --run makes it"
            raise InputError(f"--beside {other}: no {ATTACKS_FILE} there; {mend}")
    if others:
        values["others"] = [str(other.resolve()) for other in others]
    click.echo(run.title)
    with options.notebooks(run) as books, files.locked(folder):
        books.run_attacks(run, values, say=click.echo)
    click.echo(f"table: {folder / ATTACKS_FILE}")
