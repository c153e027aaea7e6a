"""``rurk sweep``: a notebook executed for every cell of a grid."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Any

import click

from rurklib.checks import InputError

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command()
@click.argument("notebook", type=FILE)
@click.option("--grid", multiple=True, metavar="NAME=V1,V2,...", help="a parameter and its values")
@click.option("--groups", type=FILE, help="named groups of parameters, YAML (not with --grid)")
@click.option("--seeds", help="values of the parameter seed: 0..4 or 0,1,2")
@click.option("--jobs", default=1, show_default=True, help="cells executed at a time")
@click.option("--threads", default=1, show_default=True, help="threads of each cell")
@click.option("--out", type=click.Path(path_type=Path), help="folder [default: runs/sweep-NAME]")
@click.option("--engine", default="joblib", show_default=True, help="joblib or dask")
@click.option("--scheduler", metavar="tcp://HOST:PORT", help="the Dask cluster's scheduler")
@click.option("--dry-run", is_flag=True, help="show the grid and what is finished; run nothing")
def sweep(
    notebook: Path,
    grid: tuple[str, ...],
    groups: Path | None,
    seeds: str | None,
    jobs: int,
    threads: int,
    out: Path | None,
    engine: str,
    scheduler: str | None,
    dry_run: bool,
) -> None:
    """Execute a notebook for every cell of a grid; what is finished already is skipped.

    The notebook has the parameters that are named, and `out`; it writes rows.csv into the folder
    `out`, and figures into figures/ there. All rows go to results.csv, times and errors to
    cells.csv, and index.html shows everything, failures first.

    Exit code 1 if a cell failed; the others are executed all the same, and the same command tries
    it again.

    \b
    rurk sweep notebooks/05_ablations.ipynb --grid tau=0,0.01,0.03 --grid lambda_a=0.01,0.03
      --seeds 0..4 --jobs 2 --out runs/sweep-tau
    rurk sweep notebooks/05_ablations.ipynb --groups groups.yaml --dry-run
    """
    try:
        from rurklib.study.sweep import drive
        from rurklib.study.sweep import grid as grids
    except ModuleNotFoundError as error:
        raise InputError(
            f'{error.name} is missing: pip install -e ".[study]" in the clone of rurklib'
        ) from None
    if grid and groups:
        raise InputError("--grid and --groups: give one of them")
    named = grids.from_file(groups) if groups else grids.from_words(grid)
    if seeds is not None:
        named = grids.with_seeds(named, seeds)
    plan = drive.plan(notebook, named, out or Path("runs") / f"sweep-{notebook.stem}", threads)
    if dry_run:
        _show(plan, jobs)
        return
    try:
        records = drive.run(plan, jobs, engine, scheduler, say=click.echo)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        click.echo(f"rurk: the disk is full: make room and run again ({plan.out})", err=True)
        sys.exit(1)
    click.echo(f"results: {plan.out / 'results.csv'}\npage: {plan.out / 'index.html'}")
    bad = [r for r in records if r["status"] != "done"]
    if bad:
        click.echo(f"rurk: {len(bad)} of {len(records)} cells are not done", err=True)
        sys.exit(1)


def _show(plan: Any, jobs: int) -> None:
    from rurklib.study.sweep import drive, gather
    from rurklib.study.sweep.progress import duration

    records = drive.states(plan)
    table = gather.cells(plan.columns, plan.groups, records)
    shown = table[["cell", "groups", *plan.columns, "status"]]
    click.echo(shown.to_string(index=False))
    todo = sum(r["status"] != "done" for r in records)
    known = drive.seconds_known(plan.out)
    mean = sum(known) / len(known) if known else None
    time = "unknown, no cell was ever finished here" if mean is None else ""
    if mean is not None:
        time = f"about {duration(mean * -(-todo // jobs))} with --jobs {jobs}"
    click.echo(f"\n{len(records)} cells, {len(records) - todo} finished, {todo} to execute: {time}")
