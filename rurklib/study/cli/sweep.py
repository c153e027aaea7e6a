"""``rurk sweep``: a notebook executed for every cell of a grid."""

import sys
from pathlib import Path

import click

from rurklib.checks import InputError, count
from rurklib.study.cli.options import FILE, FOLDER
from rurklib.study.environment import needs


@click.command()
@click.argument("notebook", type=FILE)
@click.option("--grid", multiple=True, metavar="NAME=V1,V2,...", help="a parameter and its values")
@click.option("--groups", type=FILE, help="named groups of parameters, YAML (not with --grid)")
@click.option("--seeds", help="values of the parameter seed: 0..4 or 0,1,2")
@click.option("--jobs", default=1, show_default=True, help="cells executed at a time")
@click.option("--out", type=FOLDER, help="folder [default: runs/sweep-NAME]")
@click.option("--scheduler", metavar="tcp://HOST:PORT", help="a Dask cluster that executes them")
@click.option("--dry-run", is_flag=True, help="show the grid and what is finished; run nothing")
def sweep(
    notebook: Path,
    grid: tuple[str, ...],
    groups: Path | None,
    seeds: str | None,
    jobs: int,
    out: Path | None,
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
    rurk sweep notebooks/06_ablations.ipynb --grid tau=0,0.01,0.03 --grid lambda_a=0.01,0.03
      --seeds 0..4 --jobs 2 --out runs/sweep-tau
    rurk sweep notebooks/06_ablations.ipynb --groups groups.yaml --dry-run
    """
    needs("papermill", "tqdm", "yaml", extra="study")
    from rurklib.study.sweep import collect, run
    from rurklib.study.sweep import grid as grids

    count("jobs", jobs)
    if seeds is not None and any(text.partition("=")[0].strip() == "seed" for text in grid):
        raise InputError(f"--grid has seed, and --seeds is {seeds}: give one of them")
    if grid and groups:
        raise InputError("--grid and --groups: give one of them")
    named = grids.from_file(groups) if groups else grids.from_options(grid)
    named = named if seeds is None else grids.with_seeds(named, seeds)
    plan = run.plan(notebook, named, out or Path("runs") / f"sweep-{notebook.stem}")
    if dry_run:
        click.echo(collect.described(plan, run.states(plan)))
        return
    records = run.run(plan, jobs, scheduler)
    click.echo(f"results: {plan.out / 'results.csv'}\npage: {plan.out / 'index.html'}")
    if bad := sum(record["status"] != "done" for record in records):
        click.echo(f"rurk: {bad} of {len(records)} cells are not done", err=True)
        sys.exit(1)
