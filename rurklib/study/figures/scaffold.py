"""What figures of several panels have in common: a grid, its words, greys of re-trained models."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rurklib.study.figures.style import BAND, FURTHER, canvas, style

RANGE, PREDICT = "range of the re-trained models", "a further re-trained model, 95 %"
POINTWISE = PREDICT + " at each tau"  # over a whole curve one leaves it more often
BOUNDS = ("low", "high", "predict_low", "predict_high")  # columns of both bands
HAIR = "the other methods, means"  # thin lines behind a panel's own
WIDEST = 10.8  # inches: as wide as a page's text, where 9 points can still be read


@contextmanager
def panels(
    names: Mapping[Any, str],
    *,
    title: str,
    columns: int = 3,
    size: tuple[float, float] = (3.5, 2.6),
    xlabel: str | Mapping[Any, str] = "",
    ylabel: str = "",
    about: str = "",
    **shared: Any,
) -> Iterator[tuple[Figure, dict[Any, Axes]]]:
    """A figure with a panel for each of ``names`` (key: title), by their keys; ``size`` in inches.

    On leaving, each panel has its title, and its ``xlabel``, or all have one below them. What was
    drawn with a label stands in a legend below, each label once; on its right the greys, and what
    they are ``about`` ("this forget set"). No figure is wider than a page. ``shared``: matplotlib's
    ``sharex`` and ``sharey``.
    """
    columns = min(columns, len(names))
    rows = -(-len(names) // columns)
    width, height = min(max(size[0] * columns + 0.4, 7.2), WIDEST), size[1] * rows + 0.9
    figure, grid = canvas(rows, columns, width=width, height=height, squeeze=False, **shared)
    axes = dict(zip(names, grid.flat, strict=False))
    yield figure, axes
    for axis in grid.flat[len(names) :]:
        axis.set_axis_off()
    each = dict.fromkeys(names, xlabel) if isinstance(xlabel, str) else xlabel
    alike, middle = len({*each.values()}) == 1, (columns - 1) // 2
    for k, (key, axis) in enumerate(axes.items()):
        axis.set_title(names[key], loc="left", fontsize=10.5)
        axis.spines[["top", "right"]].set_visible(False)
        own = shared.get("sharex") not in (True, "col")  # each row has its scale
        axis.tick_params(labelbottom=own or k + columns >= len(names))
        if not alike or (k % columns == middle and k + columns >= len(names)):
            at = 0.5 if columns % 2 or not alike else 1.05  # between two panels
            axis.set_xlabel(textwrap.fill(each[key], int(12 * width)), fontsize=9.5, x=at)
    figure.supylabel(textwrap.fill(ylabel, int(11 * size[1] * rows)), fontsize=10.5)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, wrap=True)
    _legends(figure, about)


def panel_names(
    frame: pd.DataFrame, by: str, titles: Mapping[Any, str] | None
) -> Mapping[Any, str]:
    """A panel for each value of the column ``by`` (that ``titles`` names, if given), else one."""
    found = list(frame[by].unique()) if by else [""]
    return {v: text for v, text in (titles or {v: str(v) for v in found}).items() if v in found}


def listed(values: pd.Series, form: str = "{} {:.2f}") -> str:
    """Numbers with their names, in words."""
    return ", ".join(form.format(name, value) for name, value in values.items())


def _legends(figure: Figure, about: str) -> None:
    drawn: dict[str, Any] = {}
    for axis in figure.axes:
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
            drawn.setdefault(label, handle)
    greys = {k: drawn.pop(k) for k in (RANGE, PREDICT, POINTWISE, HAIR) if k in drawn}
    look = {"frameon": False, "fontsize": 9}
    if drawn:
        room = figure.get_figwidth() - (3.9 if greys else 0.0)
        fit = int(room / (0.6 + 0.075 * max(map(len, drawn))))
        figure.legend(drawn.values(), drawn.keys(), loc="outside lower left",
                      ncols=min(max(fit, 1), len(drawn)), **look)  # fmt: skip
    if greys:
        first, *others = greys
        words = [f"{first} ({about})" if about and first != HAIR else first, *others]
        figure.legend(greys.values(), words, loc="outside lower right", **look)


def method_axis(axis: Axes, names: Sequence[str]) -> None:
    """A row for each name, the first one on top."""
    axis.set_yticks(range(len(names)), names)
    for other in axis.get_shared_y_axes().get_siblings(axis):
        other.tick_params(axis="y", labelsize=9)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.grid(axis="y", color="#eeeeee")
    axis.set_axisbelow(True)


def grey_bands(
    axis: Axes,
    table: pd.DataFrame,
    *,
    along: str = "x",
    half: float = 0.36,
    further: str = PREDICT,
) -> None:
    """What re-trained models show, behind whatever is drawn on ``axis``: their range dark, the
    prediction for a further one light.

    ``table`` has the columns of :data:`BOUNDS` (NaN: not known) at each value of its index;
    ``further`` is what the legend calls the prediction. ``along``: "x" for bands over x, "columns"
    or "rows" for a box ``half`` to either side of each.
    """
    for low, high, color, label, z in (
        ("predict_low", "predict_high", FURTHER, further, 0.0),
        ("low", "high", BAND, RANGE, 0.1),
    ):
        known = table[[low, high]].dropna()
        look: dict[str, Any] = {"color": color, "lw": 0, "zorder": z}
        if len(known) and along == "x":  # all of the table: where nothing is known is a gap
            axis.fill_between(table.index, table[low], table[high], label=label, **look)
        for k, (at, its) in enumerate(known.iterrows() if along != "x" else ()):
            fill = axis.fill_between if along == "columns" else axis.fill_betweenx
            fill([at - half, at + half], *its, label=None if k else label, **look)


def spread(
    axis: Axes, rows: pd.DataFrame, x: str, y: str, method: str, **look: Any
) -> pd.DataFrame:
    """The mean of ``y`` over ``rows`` at each ``x`` as a line in the method's look (or ``look``),
    their range as shade, grey for re-trained models. Returns mean, min and max by x."""
    each = rows.groupby(x)[y].agg(["mean", "min", "max"])
    look = {"ms": 6, "lw": 1.8, "label": method, **style(method), **look}
    shade = {"color": FURTHER} if method == "Re-train" else {"color": look["color"], "alpha": 0.15}
    axis.fill_between(each.index, each["min"], each["max"], lw=0, zorder=0.9, **shade)
    axis.plot(each.index, each["mean"], **look)
    return each
