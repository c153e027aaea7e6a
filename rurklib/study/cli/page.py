"""``rurk page``: the models of a run in one HTML file, for people who have nothing installed."""

import contextlib
import io
from pathlib import Path

import click

from rurklib.study import files
from rurklib.study.cli import options
from rurklib.study.environment import needs


@click.command()
@options.FINISHED
@click.option("--out", type=options.FOLDER, required=True, help="the HTML file to write")
@click.option("--methods", default="GD,RURK,SalUn", show_default=True, help="of the run's")
@click.option("--seed", type=int, help="experiment seed [default: the run's first]")
def page(folder: Path, out: Path, methods: str, seed: int | None) -> None:
    """Write one HTML file in which the models of a run answer, without server or network.

    A visitor disturbs forgotten images and sees which models still recognise them. Every model's
    weights are in the file, so this is for small nets: plain layers, one after the other.
    """
    needs("seaborn", extra="audit")  # whose colours the figures have
    from rurklib.study import page as made
    from rurklib.study.run import open_existing

    with contextlib.redirect_stdout(io.StringIO()):  # what is counted already
        html = made.page(open_existing(folder), methods.split(","), seed=seed)
    files.write(out, html)
    click.echo(f"{out}: {out.stat().st_size / 1e6:.2f} MB; open it in a browser")
