"""Copy a finished run's notebooks and figures into the repository, as readers see them there.

    python notebooks/publish.py runs/digits

Only a run with the values of the notebooks' own parameters cells may be published: what a reader
sees must be what the cell says.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import nbformat

from rurklib.batch import NOTEBOOKS, folder
from rurklib.check import InputError
from rurklib.run import plan_run

FIGURES = Path(__file__).parent.parent / "figures"


def publish(run: Path) -> None:
    """Replace the committed outputs and figures with those of ``run``."""
    name = run.name
    plan_run(name, run)  # refuses a run with other settings
    for notebook in NOTEBOOKS:
        source = folder() / f"{notebook}.ipynb"
        book = nbformat.read(run / "notebooks" / source.name, as_version=4)
        written = [c.source for c in nbformat.read(source, as_version=4).cells]
        book.cells = [
            c for c in book.cells if "injected-parameters" not in c.metadata.get("tags", [])
        ]
        if [c.source for c in book.cells] != written:
            raise InputError(f"{source.name} changed after {run} was made: run the study again")
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
        nbformat.write(book, source)
    target = FIGURES / name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for path in sorted((run / "figures").glob("0*.*")):
        if path.suffix in (".png", ".csv"):
            shutil.copy(path, target / path.name)
    for table in ("summary.csv", "residual_knowledge.csv", "env.json"):
        shutil.copy(run / table, target / table)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        publish(Path(sys.argv[1]))
    except InputError as error:
        sys.exit(f"publish: {error}")
