"""Save a figure into a run and show it: the one way that notebooks draw.

What is shown is the saved file, so a figure in a notebook, in ``figures/`` and in the report are
the same picture, with the same alt text and the data that it was drawn from beside it.
"""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from rurklib.study import files
from rurklib.study.figures.style import png
from rurklib.study.run import Run


def save_figure(run: Run | Path, figure: Figure, name: str, *, data: pd.DataFrame, alt: str) -> Any:
    """Write ``figures/NAME.png``, its data as ``NAME.csv`` and its alt text as ``NAME.json``.

    ``run`` is the run whose folder they go to, or a folder, for what is drawn without a run.
    ``name`` begins with the notebook's number ("03_curves"). Returns an IPython image to display.
    """
    from IPython.display import Image

    content, folder = png(figure, alt), _figures(run)
    files.write(folder / f"{name}.png", content)
    files.write_frame(folder / f"{name}.csv", data)
    files.write_json(folder / f"{name}.json", {"alt": alt})
    return Image(content, alt=alt, width=round(figure.get_figwidth() * 100))


def shown(table: pd.DataFrame, precision: int = 3) -> Any:
    """A table as a notebook shows it: without its index, numbers to ``precision`` decimals."""
    return table.style.hide(axis="index").format(precision=precision)


def saved_figures(run: Run | Path) -> list[tuple[Path, str]]:
    """(picture, alt text) of every figure that the run's notebooks have saved."""
    pictures = sorted(_figures(run).glob("*.png"))
    return [(path, files.read_json(path.with_suffix(".json"))["alt"]) for path in pictures]


def _figures(run: Run | Path) -> Path:
    return (run if isinstance(run, Path) else run.folder) / "figures"
