"""Copy a finished run's figures and tables into the repository, as readers see them there.

    python notebooks/publish.py runs/digits
    python notebooks/publish.py runs/ablations
    python notebooks/publish.py runs/beyond-images

They go to ``figures/NAME``, NAME being the folder's, with the trials of ``runs/NAME-tune`` if there
are any. For the run that the notebooks' own parameters cells describe, the executed notebooks are
copied too: what a reader sees must be what the cell says. Its models, if they were trained in it
(``rurk study --fresh``), become those that come with the package, and the picture of the front page
is drawn from it. Pictures of other data than those that come with scikit-learn are left out, for
they may not be ours to copy.

A sweep's folder is read by notebook 95, which is executed here as it stands, and so is the one cell
that notebook 6's own parameters describe. ``runs/ablations-NAME`` goes to
``figures/ablations/NAME``. The folder of notebook 8 holds the executed notebook.
"""

import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import torch
from tables import FIGURES, write_answers, write_tables, write_which

from rurklib import study
from rurklib.checks import InputError
from rurklib.study import books
from rurklib.study.figures.curves import front_page
from rurklib.study.figures.style import png
from rurklib.study.models import ship, shipped_models
from rurklib.study.run import Run, open_run
from rurklib.study.store import read_json, replacing, write, write_frame

# figures that show samples
OF_DATA = ("01_samples", "01_who", "02_who", "03_copies", "04_ranked", "05_copy")
SWEPT = ("06_ablations", "95_read_ablations")
BEYOND = "08_beyond_images"
ATTACKS = "07_adaptive_attacks"
FRONT = ("Original", "GD", "RURK", "SalUn")  # methods on the front page
ROOT = Path(__file__).parent.parent


def publish(run: Path) -> None:
    """Replace the committed outputs and figures with those of ``run``."""
    name = run.name
    own = name == read_json(run / "run.json")["scenario"] == "digits"
    if own:
        opened = open_run(name, run, dry=True)  # refuses a run with other settings
        for book in books.books_of("study", name):
            publish_outputs(run / "notebooks" / book.path.name, book.path)
        if (attacked := run / "notebooks" / f"{ATTACKS}.ipynb").exists():
            publish_outputs(attacked, books.folder() / attacked.name)
    target = FIGURES / name
    tables = [run / t for t in ("summary.csv", "residual_knowledge.csv", "env.json")]
    for needed in (*tables, run / "report.html"):
        if not needed.exists():
            raise InputError(f"{needed} is missing: finish the study first")
    for old in target.glob("[09]*.*"):
        old.unlink()
    copy_figures(run, target, "[09]*.*", () if own else OF_DATA)
    found = [run / f"{name}.csv" for name in ("verdicts", "attacks", "memory")]
    for table in (*tables, *found):
        if table.exists():
            shutil.copy(table, target / table.name)
    trials = run.with_name(f"{name}-tune") / "trials.csv"
    if trials.exists():
        shutil.copy(trials, target / trials.name)
    write_answers()
    write_which()
    for page in (FIGURES / "README.md", target / "README.md"):
        write_tables(page)
    if own:
        draw_front_page(opened)
    if own and shipped_models(opened):
        print("the package's models stay as they are: this run took some; --fresh trains them")
    elif own:
        print(f"{len(ship(opened))} models are in the package")


def draw_front_page(run: Run) -> None:
    """The four forget images of which Original recognises most copies more than re-trained models
    do on average, at the largest tau; of each the first copy that the measurement made."""
    chosen, models = study.telling_copies(run, 4), study.load_models(run)
    with torch.inference_mode():
        answers = {n: model(chosen.copies).argmax(1) for n, model in models.items()}
    right = {name: (classes == chosen.labels).numpy() for name, classes in answers.items()}
    retrained = np.stack([right[name] for name in run.names("Re-train")])
    by_method = {m: right[m, run.seeds[0]][None] for m in FRONT}
    frame = pd.read_csv(run.folder / "residual_knowledge.csv")
    rows = frame[frame.method.isin(FRONT) & (frame.perturbation == run.scenario.perturbations[0])]
    table = {"forget sample": chosen.places, **{m: v[0] for m, v in by_method.items()}}
    table["re-trained"] = retrained.sum(0)
    write_frame(FIGURES / "front-page.csv", pd.DataFrame(table))
    title = f"Who recognises noisy copies, and residual knowledge over tau: {run.scenario.name}"
    figure = front_page(
        chosen.images.numpy(), chosen.copies.numpy(), {"re-trained models": retrained, **by_method},
        rows, title=title, word="nine", unit="sd, pixels in [0, 1]",
    )  # fmt: skip
    write(FIGURES / "front-page.png", png(figure, f"{title} (data: front-page.csv)"))


def publish_sweep(out: Path) -> None:
    """Execute the notebooks of a sweep with the parameters that they show; copy what they draw."""
    name = out.name
    if name == "ablations":  # what notebook 95's own parameters say
        for source in (books.folder() / f"{swept}.ipynb" for swept in SWEPT):
            with replacing(out / source.name) as partial:
                books.execute(books.read(source), partial, {})
            publish_outputs(out / source.name, source)
    else:
        reader = books.folder() / f"{SWEPT[-1]}.ipynb"
        given = {"out": str(out.absolute()), "results": str(out.absolute() / "results.csv")}
        books.execute(books.read(reader), out / reader.name, given)
    target = FIGURES / "ablations" / name.removeprefix("ablations").lstrip("-")
    copy_figures(out, target, "95_*")
    for path in target.glob("95_*.csv"):
        text = without_folders(path.read_text(encoding="utf-8"))
        path.write_text(text, encoding="utf-8")
    write_tables(FIGURES / "ablations" / "README.md")


def without_folders(text: str) -> str:
    """A table whose cells say {""path"": ""/some/folder/data.npz""}: with the file's name alone."""
    return re.sub(r'(""path"": "")[^"]*[/\\]', r"\1", text)


def publish_beyond(out: Path) -> None:
    """Notebook 8's outputs, and what it drew."""
    publish_outputs(out / f"{BEYOND}.ipynb", books.folder() / f"{BEYOND}.ipynb")
    copy_figures(out, FIGURES / out.name, "08_*")
    write_answers()
    write_tables(FIGURES / "README.md")


def copy_figures(run: Path, target: Path, names: str = "*", without: Sequence[str] = ()) -> None:
    """The pictures of a folder, but for some, and what each was drawn from."""
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted((run / "figures").glob(names)):
        if path.suffix in (".png", ".csv") and path.stem not in without:
            shutil.copy(path, target / path.name)


def publish_outputs(executed: Path, source: Path) -> None:
    """Replace a committed notebook's outputs with those of the executed one."""
    book, committed = (nbformat.read(path, as_version=4) for path in (executed, source))
    written = [c.source for c in committed.cells]
    book.cells = [c for c in book.cells if "injected-parameters" not in c.metadata.get("tags", [])]
    if [c.source for c in book.cells] != written:
        raise InputError(f"{source.name} changed after {executed} was made: run it again")
    for cell, text in zip(book.cells, written, strict=True):
        cell.source = text
    for count, cell in enumerate((c for c in book.cells if c.cell_type == "code"), start=1):
        tags = cell.metadata.get("tags", [])
        cell.metadata = {"tags": tags} if tags else {}
        cell.execution_count = count
        for output in cell.outputs:
            if "execution_count" in output:
                output.execution_count = count
    for cell in book.cells:
        if cell.cell_type == "markdown":
            cell.metadata = {}
    book.metadata = {k: book.metadata[k] for k in ("kernelspec", "language_info")}
    if "rurk" in committed.metadata:
        book.metadata["rurk"] = committed.metadata["rurk"]
    nbformat.write(book, source)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        run = Path(sys.argv[1])
        if (run / f"{BEYOND}.ipynb").exists():
            publish_beyond(run)
        elif (run / "sweep.json").exists():
            publish_sweep(run)
        else:
            publish(run)
    except InputError as error:
        sys.exit(f"publish: {error}")
