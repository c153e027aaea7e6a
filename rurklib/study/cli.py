"""The command ``rurk``: options from signatures, help from docstrings, by cyclopts.

Exit codes: 0 done; 1 a notebook or a cell of a sweep failed, or ``--fail-on`` holds; 2 bad input,
nothing was started or changed; 130 interrupted. ``rurk --help`` must not wait for PyTorch: commands
import what they need when they run.
"""

import contextlib
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

from cyclopts import App, CycloptsError, Group, Parameter
from cyclopts.types import ExistingFile, PositiveInt
from cyclopts.validators import Number


def default_text(default: Any) -> str | None:
    """A default as a user would type it; None if there is nothing to show."""
    if isinstance(default, (list, tuple)):
        return ",".join(f"{value:g}" for value in default) or None
    return str(default) if default or type(default) is int else None


app = App(
    name="rurk",
    help="Measure and remove residual knowledge in unlearned classifiers.",
    help_format="plaintext",
    help_flags=["--help"],
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
    default_parameter=Parameter(negative=(), show_default=default_text),
    help_epilogue="""\
Examples:
  rurk study                                  the digits study, into runs/digits
  rurk study --scenario npz --set path=my.npz images of your own
  rurk inspect                                look closely at single forget samples
  rurk compare runs/digits runs/cifar5        which method to use""",
)


def out_path(_: Any, tokens: Sequence[Any]) -> Path:
    """A path that is given: ``--out ""`` would mean the folder that the command runs in."""
    if not tokens[0].value:
        raise ValueError("expected a path such as runs/mine")
    return Path(tokens[0].value)


def numbers(_: Any, tokens: Sequence[Any]) -> tuple[float, ...] | None:
    """The numbers in ``0,0.05``, or None for ``none``."""
    text = tokens[0].value
    try:
        values = tuple(map(float, text.split(","))) if text != "none" else None
    except ValueError:
        values = (math.nan,)
    if not all(map(math.isfinite, values or ())):
        raise ValueError(f"{text}: expected finite numbers such as 0,0.05,0.1")
    return values


TITLES = "What is done", "How it is run", "Models", "Samples (.npz, .npy)", "Measurement", "Answer"
GROUPS = [Parameter(group=Group.create_ordered(title)) for title in TITLES]
CHOICE, RUNNING, NETS, SAMPLES, MEASUREMENT, ANSWER = GROUPS
LIST = Parameter(converter=numbers, n_tokens=1, metavar="LIST")
SET = "A changed setting; several times if need be."
WITH = "A file of yours with methods, metrics ...; its code is run."
DIGITS_RUN = Path("runs/digits")

Scenario = Annotated[str, CHOICE, Parameter(help="What is studied; rurk scenarios lists them.")]
Seeds = Annotated[str, CHOICE, Parameter(metavar="0..4|0,1,2")]
Changes = Annotated[Sequence[str], CHOICE, Parameter("--set", metavar="NAME=VALUE", help=SET)]
Plugins = Annotated[Sequence[Path], CHOICE, Parameter("--with", metavar="FILE.py", help=WITH)]
File = Annotated[ExistingFile, CHOICE]
FinishedRun = Annotated[Path, CHOICE, Parameter("--run", help="Folder of a finished study.")]
OneSeed = Annotated[int, CHOICE, Parameter(help="Experiment seed; without it the first one.")]
Numbers = Annotated[Sequence[float], LIST]
Out = Annotated[Path, RUNNING, Parameter(converter=out_path)]
Jobs = Annotated[PositiveInt, RUNNING]
Cluster = Annotated[str | None, RUNNING, Parameter(metavar="tcp://HOST:PORT")]
Flag = Annotated[bool, RUNNING]


def command(*examples: str) -> Callable[..., Any]:
    """Register a function as a command whose help ends with these examples."""
    return app.command(help_epilogue="\n  ".join(["Examples:", *examples]))


def option_names(commands: App) -> set[str]:
    """Long names of all options, without ``--help`` and ``--version`` (tests/test_house.py)."""
    usual = commands.default_parameter
    inner = [commands[name] for name in commands if not name.startswith("-")]
    found = [c.assemble_argument_collection(default_parameter=usual) for c in inner]
    names = (name for options in found for option in options for name in option.names)
    return {name for name in names if name.startswith("--")}


@command("rurk study --seeds 0..4 --jobs 2", "rurk study --out runs/mild --set RURK.tau=0.2")
def study(
    *,
    scenario: Scenario = "digits",
    seeds: Seeds | None = None,
    changes: Changes = (),
    settings: File | None = None,
    plugins: Plugins = (),
    out: Out | None = None,
    jobs: Jobs = 1,
    scheduler: Cluster = None,
    fresh: Flag = False,
    tables_only: Flag = False,
) -> None:
    """Train, unlearn, measure and report; whatever is finished is skipped.

    The models of the digits study come with the package. They are used as long as the code that
    trains is the code that made them.

    Args:
        seeds: Experiment seeds; without it those of the scenario.
        settings: Settings from a YAML or JSON file, as rurk tune writes it; --set wins over them.
        out: Run folder; without it runs/SCENARIO.
        jobs: Models made at a time.
        scheduler: A Dask cluster whose workers make the models; they see the run folder too.
        fresh: Delete what is in the run folder and train every model here.
        tables_only: Write tables and the report, but execute no notebook.
    """
    choices = chosen(seeds, settings, changes, plugins) | {"jobs": jobs, "fresh": fresh}
    if scheduler:
        from rurklib.study.parallel import executor

        os.environ["RURK_SCHEDULER"] = scheduler  # kernels inherit it
        with executor(jobs, scheduler):
            pass  # one that doesn't answer is told before anything is begun
    with locked(scenario, out or Path("runs") / scenario, **choices) as planned:
        # Kernels inherit it: small nets on several threads wait for each other more than they work.
        os.environ["OMP_NUM_THREADS"] = str(planned.scenario.threads)
        run_study(planned, choices, tables_only)


def run_study(planned: Any, choices: dict[str, Any], tables_only: bool) -> None:
    """Open the run that was planned, make what is missing, and print what was found."""
    from rurklib.study.run import needs, open_run

    needs("papermill", "seaborn", extra="study")
    import pandas as pd

    from rurklib.study import books, models, report

    name = planned.scenario.name
    run = open_run(name, planned.folder, **choices)
    print(f"{run.title}\nseeds {list(run.seeds)}; {run.scenario.references} references")
    models.train(run)
    models.unlearn(run)
    if tables_only:
        report.tables(run)
    else:
        given = {"scenario": name, "seeds": list(run.seeds), "jobs": run.jobs}
        given |= {"out": str(run.folder.resolve()), "settings": choices["settings"]}
        try:
            books.run_notebooks(run, given)
        except books.NotebookFailed as error:
            stop(error, 1)
    verdicts, summary = (pd.read_csv(run.folder / f"{n}.csv") for n in ("verdicts", "summary"))
    print(f"\n{report.findings_table(verdicts, summary).to_string(index=False)}\n")
    if text := models.shipped_models(run):
        print(f"{text}; --fresh trains them here\n")
    print(report.by_verdict(verdicts).to_string(index=False, justify="left"))
    print(f"report: {run.folder / 'report.html'}")


@command("rurk tune --scenario npz --set path=my.npz", "rurk tune --methods GD,RURK --budget 10")
def tune(
    *,
    scenario: Scenario = "digits",
    methods: Annotated[str, CHOICE] = "",
    budget: Annotated[PositiveInt, CHOICE] = 24,
    seeds: Seeds = "900..905",
    references: Annotated[int, CHOICE] = 4,
    changes: Changes = (),
    plugins: Plugins = (),
    out: Out | None = None,
    jobs: Jobs = 1,
) -> None:
    """Choose hyper-parameters on a rehearsal, with the same budget for every method.

    A rehearsal forgets other samples than the study does and tests on the validation part. Every
    trial is kept in trials.csv. The best settings go to settings.json: rurk study --settings.

    Args:
        methods: Methods to tune; without it all of the scenario.
        budget: Trials of each method.
        seeds: Originals: the first two for every trial, all of them for the best three trials.
        references: Re-trained models that a trial is compared with.
        out: Folder; without it runs/SCENARIO-tune.
        jobs: Trials made at a time.
    """
    choices = chosen(seeds, None, [f"references={references}", *changes], plugins)
    choices |= {"jobs": jobs, "rehearsal": True}
    folder = out or Path("runs") / f"{scenario}-tune"
    from rurklib.study import open_run, tuning

    with locked(scenario, folder, **choices):
        run = open_run(scenario, folder, **choices)
        table = tuning.tune(run, methods=methods.split(",") if methods else None, budget=budget)
    print("distance to re-trained models in percentage points (screened: on the first Originals)")
    best = tuning.chosen_trials(table)[["method", "defaults", "screened", "score", "settings"]]
    print(best.round(2).to_string(index=False))
    print(f"all trials: {folder / 'trials.csv'}")
    again = "".join(f" --with {path}" for path in plugins)
    print(f"use them: rurk study --settings {folder / 'settings.json'}{again}")


@command(
    "rurk sweep notebooks/06_ablations.ipynb --grid tau=0,0.01 --seeds 0..4 --jobs 2",
    "rurk sweep notebooks/06_ablations.ipynb --groups groups.yaml --dry-run",
)
def sweep(
    notebook: ExistingFile,
    /,
    *,
    grid: Annotated[Sequence[str], CHOICE, Parameter(metavar="NAME=V1,V2,...")] = (),
    groups: File | None = None,
    seeds: Seeds | None = None,
    out: Out | None = None,
    jobs: Jobs = 1,
    scheduler: Cluster = None,
    dry_run: Flag = False,
    plugins: Plugins = (),
) -> None:
    """Execute a notebook for every cell of a grid; whatever is finished is skipped.

    The notebook has the parameters that the grid names, and out: the folder into which it writes
    rows.csv, and pictures into figures/. All rows go to results.csv, times and errors to cells.csv;
    index.html shows everything, failures first. A failed cell ends with exit code 1; the other
    cells are executed all the same, and the same command tries the failed ones again.

    Args:
        notebook: The notebook, with its parameters in a cell of their own.
        grid: A parameter and its values; several times if need be.
        groups: Named groups of parameters from a YAML file, in place of --grid.
        seeds: Values of the parameter seed, where the grid has none.
        out: Folder; without it runs/sweep-NOTEBOOK.
        jobs: Cells executed at a time.
        scheduler: A Dask cluster that executes them.
        dry_run: Show the grid and what is finished; run nothing.
    """
    from rurklib.checks import InputError
    from rurklib.study import extend
    from rurklib.study.run import needs

    needs("papermill", "tqdm", "yaml", extra="study")
    from rurklib.study import sweep as sweeps

    extend.load(plugins)
    if bool(grid) == bool(groups) and not (seeds and not grid):
        raise InputError("--grid and --groups: give one of them, such as --grid tau=0,0.01")
    named = sweeps.from_file(groups) if groups else sweeps.from_options(grid)
    named = named if seeds is None else sweeps.with_seeds(named, seeds)
    plan = sweeps.plan(notebook, named, out or Path("runs") / f"sweep-{notebook.stem}")
    if dry_run:
        table = sweeps.states_table(plan, sweeps.states(plan))
        print(table[["cell", "groups", *plan.columns, "status"]].to_string(index=False))
        finished = sum(table.status == "done")
        print(f"\n{len(table)} cells, {finished} finished, {len(table) - finished} to execute")
        return
    records = sweeps.run(plan, jobs, scheduler)
    print(f"results: {plan.out / 'results.csv'}\npage: {plan.out / 'index.html'}")
    if bad := sum(record["status"] != "done" for record in records):
        stop(f"{bad} of {len(records)} cells are not done", 1)


@command(
    "rurk audit --model m.py:build --weights m.pt --references a1.pt a2.pt a3.pt\n"
    "    --data data.npz --forget forget.npy --out audit/",
    "rurk audit --model m.py:build --weights m.pt --data data.npz --forget forget.npy\n"
    "    --held-out test.npz --out audit/ --fail-on residual,treated-differently",
)
def audit(
    *,
    model: Annotated[str, NETS, Parameter(metavar="FILE.py:FUNCTION")],
    weights: Annotated[Path, NETS],
    references: Annotated[Sequence[Path], NETS, Parameter(consume_multiple=True)] = (),
    mean: Annotated[Numbers | None, NETS] = None,
    std: Annotated[Numbers | None, NETS] = None,
    label_order: Annotated[Numbers | None, NETS] = None,
    data: Annotated[Path, SAMPLES],
    forget: Annotated[Path, SAMPLES],
    held_out: Annotated[Path | None, SAMPLES] = None,
    retain: Annotated[Path | None, SAMPLES] = None,
    taus: Annotated[Numbers, MEASUREMENT] = (0, 0.01, 0.02, 0.03, 0.05, 0.08),
    perturbation: Annotated[str, MEASUREMENT] = "gaussian",
    draws: Annotated[PositiveInt, MEASUREMENT] = 20,
    seed: Annotated[int, MEASUREMENT] = 0,
    bounds: Annotated[
        tuple[float, float] | None, MEASUREMENT, LIST, Parameter(allow_leading_hyphen=True)
    ] = (0.0, 1.0),
    device: Annotated[str, MEASUREMENT] = "auto",
    plugins: Annotated[Plugins, MEASUREMENT] = (),
    out: Annotated[Out, ANSWER],
    expect_accuracy: Annotated[
        float | None, ANSWER, Parameter(validator=Number(gte=0, lte=1))
    ] = None,
    expect_chance: Annotated[bool, ANSWER] = False,
    fail_on: Annotated[str, ANSWER] = "",
) -> None:
    """Ask whether a model of your own still knows what it should have forgotten.

    Two tests, on perturbed copies of the forget samples: is the model like re-trained ones (three
    at least, better six), and does it treat forget samples unlike held-out ones? The second needs
    no re-trained model. FILE.py is executed, as are the files of --with; no other code is run.

    Args:
        model: Function without arguments that builds the net: floats in [0, 1] in, logits out.
        weights: Weights of the model: safetensors, or a state_dict in a .pt file.
        references: Weights of models that were re-trained without the forget samples.
        mean: Subtracted from the input of the net: one number, or one a channel.
        std: Divides the input of the net afterwards.
        label_order: Label in the data for each output of the net.
        data: .npz file with x and y, or MedMNIST's train_images and train_labels.
        forget: .npy file of indices into the data: the forget samples.
        held_out: Samples that no model was trained on: .npy of indices, or .npz.
        retain: Samples that all models were trained on: .npy of indices, or .npz.
        taus: Standard deviations or radii.
        perturbation: How copies are perturbed: gaussian, fgsm, pgd, pgd-l2, uniform-linf ...
        draws: Copies for each sample and tau; of 100 samples, 20 give a share to 1.1 points.
        seed: Decides the copies.
        bounds: Range of the input, or none.
        device: auto, cpu, cuda, cuda:1 ...
        out: Folder for the report and its tables, new or empty.
        expect_accuracy: Stop unless each model is right on this share of --held-out or --retain.
        expect_chance: References may be at chance, as after forgetting a whole class.
        fail_on: Exit 1 for residual, over-forgotten, treated-differently, no-verdict or flags.
    """
    from rurklib.study import extend

    extend.load(plugins)
    from rurklib.study.audit_files import AuditFiles, run_audit

    fit: dict[str, Any] = {"mean": mean, "std": std, "label_order": label_order, "device": device}
    fit["expect_accuracy"] = expect_accuracy
    files = AuditFiles(model, weights, data, forget, references, held_out, retain, **fit)
    settings = {"taus": taus, "perturbation": perturbation, "draws": draws, "seed": seed}
    settings |= {"bounds": bounds, "expect_chance": expect_chance, "progress": show_progress()}
    lines, failed = run_audit(files, out, fail_on=fail_on.split(",") if fail_on else [], **settings)
    print("\n".join(lines))
    if failed:
        stop("; ".join(failed), 1)


def show_progress(seconds: float = 5.0) -> Callable[[float], None]:
    """A function that is given the part that is done, and prints it now and then."""
    began = last = time.monotonic()

    def show(part: float) -> None:
        nonlocal last
        now = time.monotonic()
        if part and now - last >= seconds:
            last, left = now, (now - began) * (1 - part) / part
            print(f"{part:.0%} of the copies counted, about {left:.0f} s left", file=sys.stderr)

    return show


@command("rurk inspect", "rurk inspect --run runs/cifar5 --seed 1 --no-browser")
def inspect(
    *,
    folder: FinishedRun = DIGITS_RUN,
    seed: OneSeed | None = None,
    no_browser: Flag = False,
) -> None:
    """Look at single forget samples of a run, on a page that this machine alone serves.

    Without a run in runs/digits its models come first, from the package, or made here in minutes.

    Args:
        no_browser: Print the address and open no browser.
    """
    if folder == DIGITS_RUN and not folder.exists():
        from rurklib.study import open_run, train, unlearn

        print(f"{folder} is not there yet: its models come first", flush=True)
        with locked("digits", folder):
            run = open_run("digits", folder)
            train(run)
            unlearn(run)
    from rurklib.study.serve import serve

    serve(folder, seed=seed, browser=not no_browser)


@command("rurk page --out try.html", "rurk page --run runs/mild --methods GD,RURK --out mild.html")
def page(
    *,
    folder: FinishedRun = DIGITS_RUN,
    out: Out,
    methods: Annotated[str, CHOICE] = "GD,RURK,SalUn",
    seed: OneSeed | None = None,
) -> None:
    """Write one HTML file in which the models of a run answer, without server or network.

    A visitor sees which models still recognise noisy copies of forget images. The models are asked
    now; the file holds their answers.

    Args:
        out: The HTML file to write.
        methods: Methods of the run that are on the page.
    """
    from rurklib.study.run import needs

    needs("seaborn", extra="audit")  # for the colours of the figures
    from rurklib.study import open_existing, store
    from rurklib.study.live import page as page_of

    store.write(out, page_of(open_existing(folder), methods.split(","), seed=seed))
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB; open it in a browser")


@command("rurk scenarios", "rurk scenarios digits")
def scenarios(name: str | None = None, /, *, plugins: Plugins = ()) -> None:
    """List what can be studied, or every setting of one scenario, which --set changes.

    Args:
        name: The scenario whose settings are listed.
    """
    from rurklib.study import extend

    extend.load(plugins)
    from rurklib.checks import one_of
    from rurklib.study.scenario import SCENARIOS, describe

    if name is not None:
        scenario = SCENARIOS[one_of("scenario", name, SCENARIOS)]
        print(f"# {scenario.name}: {scenario.title}\n{describe(scenario)}", end="")
        return
    for scenario in SCENARIOS.values():
        seeds = ",".join(map(str, scenario.seeds))
        print(f"{scenario.name}: {scenario.title}; seeds {seeds}")


@command("rurk compare", "rurk compare runs/digits runs/cifar5 --out compare.csv")
def compare(*folders: Path, out: Out | None = None) -> None:
    """Show which method to use, beside re-training for a quarter of the epochs.

    A method passes on a data set if in most seeds both tests find no difference, if it is at least
    as accurate as the worst re-trained model, and if it takes at most a quarter of the re-training
    time, or what the control takes.

    Args:
        folders: Finished runs, or folders of published results; without them those in figures/.
        out: A CSV file for the rows behind the table.
    """
    from rurklib.checks import InputError
    from rurklib.study import report, store

    if not (chosen_folders := list(folders) or report.published(Path("figures"))):
        raise InputError("no results in figures/: name finished runs: rurk compare runs/digits")
    rows = report.compare(chosen_folders)
    print(f"data: {', '.join(rows.data.unique())}\n")
    print(report.compare_table(rows).to_string(index=False))
    if out is not None:
        store.write_frame(out, rows)


def chosen(
    seeds: str | None, file: Path | None, changes: Sequence[str], plugins: Sequence[Path]
) -> dict[str, Any]:
    """The options that say which study is meant, as keywords of ``open_run``."""
    from rurklib.checks import InputError
    from rurklib.study import extend
    from rurklib.study.scenario import literal, read_seeds, read_settings

    extend.load(plugins)
    settings = read_settings(file) if file else {}
    for text in changes:
        name, _, value = (part.strip() for part in text.partition("="))
        if not name or not value:
            raise InputError(f"--set {text}: expected NAME=VALUE, such as --set training.epochs=10")
        settings[name] = literal(value)
        if name == "path":  # as seen from here: notebooks run in a folder of their own
            settings[name] = str(Path(value).expanduser().absolute())
    seed_list = None if seeds is None else read_seeds(seeds)
    return {"seeds": seed_list, "settings": settings, "plugins": list(plugins) or None}


@contextlib.contextmanager
def locked(scenario: str, folder: Path, **choices: Any) -> Iterator[Any]:
    """The planned run, its folder locked against a second command; nothing is written before."""
    from rurklib.study import run as runs

    run = runs.open_run(scenario, folder, **choices, dry=True)
    with runs.locked(folder):
        yield run


def stop(reason: object, code: int) -> NoReturn:
    """End the command with one line on stderr."""
    print(f"rurk: {reason}", file=sys.stderr)
    raise SystemExit(code)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command ``rurk``: whatever ends it is one line and an exit code."""
    try:
        app(arguments, print_error=False, exit_on_error=False, result_action="return_value")
        sys.stdout.flush()
    except KeyboardInterrupt:
        stop("stopped; the same command goes on (an audit begins again)", 130)
    except BrokenPipeError:  # as of rurk scenarios | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None
    except (CycloptsError, OSError, ValueError) as error:
        if isinstance(error, ValueError) and type(error).__name__ != "InputError":
            raise
        stop(" ".join(str(error).split()), 2)
