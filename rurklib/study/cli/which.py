"""``rurk which``: all methods on all data, for who has to choose one."""

from pathlib import Path

import click

from rurklib.checks import InputError
from rurklib.study import files
from rurklib.study.cli.options import FOLDER


@click.command()
@click.argument("folders", nargs=-1, type=FOLDER)
@click.option("--out", type=FOLDER, help="a CSV file for the rows behind it")
def which(folders: tuple[Path, ...], out: Path | None) -> None:
    """Which method to use, beside re-training for a quarter of the epochs.

    FOLDERS are finished runs, or pages of published results [default: those in figures/]. A method
    of your own that a run was given by --with has its row like all others. A method passes on a
    data set if in most seeds the verdict finds nothing and forget samples are treated as held-out
    ones, if it is at least as accurate as the worst re-trained model, and if it takes at most a
    quarter of re-training's time, or what the control takes.

    \b
    rurk which runs/digits runs/cifar5
    """
    from rurklib.study.report.which import compared, published, which_table

    if not (chosen := list(folders) or published(Path("figures"))):
        raise InputError("no results in figures/: name finished runs, as in rurk which runs/digits")
    rows = compared(chosen)
    click.echo(f"data: {', '.join(rows.data.unique())}\n")
    click.echo(which_table(rows).to_string(index=False))
    if out is not None:
        files.write_frame(out, rows)
