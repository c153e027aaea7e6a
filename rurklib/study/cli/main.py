"""The command ``rurk``: the notebooks' words on the command line.

Exit codes: 0 done; 1 a notebook or a cell of a sweep failed (its message and place are printed);
2 bad input, nothing was started or changed.
"""

import contextlib
import io
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from rurklib.checks import InputError, one_of
from rurklib.study import files
from rurklib.study.cli import options
from rurklib.study.cli.audit import audit
from rurklib.study.cli.sweep import sweep
from rurklib.study.cli.tune import tune
from rurklib.study.environment import needs
from rurklib.study.scenarios import SCENARIOS

EXAMPLES = """
\b
Examples:
  rurk study                                    the digits study, into runs/digits
  rurk study --seeds 0,1,2,3,4 --jobs 2         five seeds, two models at a time
  rurk study --out runs/mild --set RURK.tau=0.2 another setting, in a folder of its own
  rurk study --scenario npz --set path=my.npz   images of your own (see also: imagefolder)
  rurk tune --scenario npz --set path=my.npz    choose hyper-parameters for them
  rurk inspect                                  look closely at single forget samples
  rurk page --run runs/digits --out try.html    the like for anybody: one file, no server
  rurk sweep NOTEBOOK --grid tau=0,0.01         a notebook for every cell of a grid
  rurk which runs/digits runs/cifar5            which method to use, of those and re-training
  rurk scenarios                                what can be studied; with a name, every setting
  rurk audit --help                             models of your own, against re-trained ones
  rurk study --with my_method.py --out runs/my  a method (law, metric ...) of your own beside ours
"""


class Commands(click.Group):
    """Turns InputError into one line on stderr and exit code 2."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except InputError as error:
            click.echo(f"rurk: {error}", err=True)
            sys.exit(2)
        except KeyboardInterrupt:
            click.echo(
                "\nrurk: stopped; the same command goes on (an audit begins again)", err=True
            )
            sys.exit(130)
        except OSError as error:  # a full disk, a folder that can't be written
            place = error.filename or ctx.invoked_subcommand
            click.echo(f"rurk: {place}: {error.strerror or error}", err=True)
            sys.exit(2)


@click.group(cls=Commands, epilog=EXAMPLES, context_settings={"max_content_width": 100})
@click.version_option(package_name="rurklib")
def main() -> None:
    """Measure and remove residual knowledge in unlearned classifiers."""


for command in (tune, sweep, audit):
    main.add_command(command)


@main.command()
@options.of_a_study
@click.option("--jobs", default=1, show_default=True, help="models made at a time")
@click.option(
    "--fresh", is_flag=True, help="throw away what is in the run folder; train every model here"
)
@click.option("--tables-only", "tables", is_flag=True, help="no notebooks: hours less at scale")
def study(
    scenario: str,
    folder: Path,
    choices: Any,
    jobs: int,
    fresh: bool,
    tables: bool,
) -> None:
    """Train, unlearn, measure and report; what is finished already is skipped.

    The models of the digits study come with the package, and are taken as long as the code that
    trains is that which they were made by.
    """
    with options.locked(scenario, folder, fresh=fresh, jobs=jobs, **choices) as run:
        _study(run, choices, fresh, tables)


@main.command()
@options.FINISHED
@click.option("--seed", type=int, help="experiment seed [default: the run's first]")
@click.option("--no-browser", is_flag=True, help="only print the address")
def inspect(folder: Path, seed: int | None, no_browser: bool) -> None:
    """Serve the perturbation inspector of a run as a page on this machine.

    If there is no runs/digits yet, its models are taken from the package, or made (minutes).
    """
    from rurklib import study
    from rurklib.study.cli.serve import serve
    from rurklib.study.inspector.view import seed_of

    if run := options.begin_digits(folder):
        one = replace(run, seeds=(seed_of(run, seed),))
        study.residual(one, run.scenario.perturbations[0])  # counted here, where it is seen
    serve(folder, seed=seed, browser=not no_browser)


def _study(run: Any, choices: dict[str, Any], fresh: bool, tables_only: bool = False) -> Any:
    import pandas as pd

    from rurklib import study
    from rurklib.study import models, shipped
    from rurklib.study.run import open_run

    with options.notebooks(run) as books:
        from rurklib.study.report import by_verdict, findings_table

        run = open_run(run.scenario.name, run.folder, **choices, jobs=run.jobs, fresh=fresh)
        seeds = ", ".join(map(str, run.seeds))
        click.echo(f"{run.title}\nseeds {seeds}; {run.scenario.references} references")
        models.look(run)
        parts = (run.trained, run.unlearned)
        todo = [sum(not run.checkpoint(n).exists() for n in names) for names in parts]
        if any(todo):
            click.echo(f"{todo[0]} models to train, {todo[1]} to unlearn")
        given = {"scenario": run.scenario.name, "seeds": list(run.seeds), "jobs": run.jobs}
        given |= {"out": str(run.folder.resolve()), "settings": choices.get("settings", {})}
        if tables_only:
            study.tables(run)
        else:
            books.run_notebooks(run, given, say=click.echo)
    verdicts, summary = (pd.read_csv(run.folder / f"{n}.csv") for n in ("verdicts", "summary"))
    click.echo(f"\n{findings_table(verdicts, summary).to_string(index=False)}\n")
    if others := files.read_json(run.folder / "env.json").get(shipped.NOTED):
        click.echo(f"models: {others}; --fresh trains them\n")
    click.echo("verdict in most seeds")
    for finding, methods in by_verdict(verdicts).itertuples(index=False):
        click.echo(f"  {finding}: {methods}")
    click.echo(f"report: {run.folder / 'report.html'}")
    return run


@main.command()
@click.argument("name", required=False)
def scenarios(name: str | None) -> None:
    """List the scenarios; with the NAME of one, the settings of it that --set changes."""
    if name is None:
        for scenario in SCENARIOS.values():
            seeds = ",".join(map(str, scenario.seeds))
            click.echo(f"{scenario.name}: {scenario.title}; seeds {seeds}")
        return
    scenario = SCENARIOS[one_of("scenario", name, SCENARIOS)]
    values = {k: v for k, v in scenario.settings().items() if k != "methods"}
    for method in scenario.methods:
        values |= {f"{method}.{k}": v for k, v in scenario.hyperparameters(method).items()}
    click.echo(f"{scenario.name}: {scenario.title}")
    for setting, value in values.items():
        shown = ",".join(map(str, value)) if isinstance(value, list) else value
        click.echo(f"  {setting} = {shown}")


@main.command()
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


@main.command()
@click.argument("folders", nargs=-1, type=options.FOLDER)
@click.option("--out", type=options.FOLDER, help="a CSV file for the rows behind it")
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
    from rurklib.study.report import compare, compare_table, published

    if not (chosen := list(folders) or published(Path("figures"))):
        raise InputError("no results in figures/: name finished runs, as in rurk which runs/digits")
    rows = compare(chosen)
    click.echo(f"data: {', '.join(rows.data.unique())}\n")
    click.echo(compare_table(rows).to_string(index=False))
    if out is not None:
        files.write_frame(out, rows)


for command in main.commands.values():
    command.params.append(options.WITH)
