"""One look for all figures: colours and marks, grids of panels, the greys of re-trained models.

A few methods have the same colour and marker everywhere, many the colour and marker of what was
found of them.
"""

import io
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# seaborn's colour-blind palette; Original is black, the re-trained references are grey.
_C = [matplotlib.colors.to_hex(c) for c in sns.color_palette("colorblind", 10)]

INK, BAND, FURTHER = "#222222", "#bebebe", "#e0e0e0"
COLD, WARM = "#1f7fc4", "#d55e00"  # below and above re-trained models
DOTTED: dict[str, Any] = {"color": "#555555", "lw": 0.8, "ls": ":"}  # where nothing is left

# Of what is no method, in order: colour, marker and line.
LOOKS: list[dict[str, Any]] = [
    {"color": _C[k], "marker": marker, "ls": ("-", "--", "-.", ":")[i % 4]}
    for i, (k, marker) in enumerate(zip((0, 3, 2, 1, 4, 5, 9, 7), "oD^svPX<", strict=True))
]

RANGE, PREDICT = "retrain band", "prediction interval, 95 %"
POINTWISE = PREDICT + " at each tau"  # over a whole curve one leaves it more often
BOUNDS = ("low", "high", "predict_low", "predict_high")  # columns of both bands
HAIR = "the other methods, means"  # thin lines behind a panel's own
WIDEST = 10.8  # inches: as wide as a page's text, where 9 points can still be read
CROWDED = 6  # lines in one picture; of more methods a hue each tells nothing

# What was found of a model: colour, marker and line; the last for whatever else is said. To be told
# apart by any eye, and in grey by marker and line.
VERDICTS: dict[str, tuple[str, str, str]] = {
    "residual knowledge": (WARM, "^", "-"),
    "none detected": ("#00734f", "o", "-."),
    "over-forgotten": (COLD, "v", "--"),
    "differs by seed": ("#8a3d8f", "D", ":"),
    "cannot be judged": ("#6b6b6b", "X", ":"),
}
# Where one number is placed, in place of a verdict, and what a legend calls that.
SIDES = {
    "above": ("residual knowledge", "above re-trained models"),
    "inside": ("none detected", "as re-trained models"),
    "below": ("over-forgotten", "below re-trained models"),
}

STYLE: dict[str, tuple[str, str]] = {
    "Original": (INK, "o"),
    "Re-train": ("#7a7a7a", "s"),
    "GD": (_C[0], "^"),
    "NGD": (_C[9], "v"),
    "GA": (_C[1], "v"),
    "NegGrad+": (_C[4], "D"),
    "EU-k": (_C[5], "<"),
    "CF-k": (_C[8], ">"),
    "SCRUB": (_C[6], "p"),
    "SSD": (_C[7], "h"),
    "CR": (_C[1], "P"),
    "Fisher": (_C[9], "X"),
    "NTK": (_C[5], "*"),
    "l1-sparse": (_C[0], "s"),
    "RandomLabels": (_C[3], "D"),
    "SalUn": (_C[3], "^"),
    "BadTeacher": (_C[4], "<"),
    "AMUN": (_C[6], "X"),
    "BoundaryShrink": (_C[8], "d"),
    "WoodFisher": (_C[9], "P"),
    "LFSSD": (_C[7], ">"),
    "DELETE": (_C[6], "s"),
    "JiT": (_C[2], "P"),
    "Retrain-quarter": ("#7a7a7a", "D"),
    "RURK": (_C[2], "*"),
    "Noise-brittle": (_C[3], "8"),  # it cheats
    "Smoothed": (_C[0], "d"),  # the control that is trained with noise
}


def found(verdict: Any) -> dict[str, Any]:
    """Colour, marker, line and legend of a verdict or a side (a name in VERDICTS or SIDES)."""
    verdict, label = SIDES.get(verdict, (verdict, verdict))
    if verdict not in VERDICTS:
        verdict = label = "cannot be judged"
    return {**dict(zip(("color", "marker", "ls"), VERDICTS[verdict], strict=True)), "label": label}


def style(method: str) -> dict[str, Any]:
    """Colour and marker of a method; one that is not listed gets a colour by its name."""
    color, marker = STYLE.get(method, (_C[sum(method.encode()) % 10], "8"))
    return {"color": color, "marker": marker}


def canvas(rows: int = 1, columns: int = 1, *, width: float = 7.2, height: float = 4.2, **kw: Any):
    """A figure and its axes in the house style: a grid, or by name those of a ``mosaic=``."""
    context = {**sns.axes_style("ticks"), **sns.plotting_context("notebook", font_scale=0.95)}
    context |= {"axes.titlesize": 12, "font.family": "DejaVu Sans"}
    with matplotlib.rc_context(context):
        figure = Figure(figsize=(width, height), layout="constrained")
        mosaic = kw.pop("mosaic", None)
        axes = figure.subplot_mosaic(mosaic) if mosaic else figure.subplots(rows, columns, **kw)
    return figure, axes


def png(figure: Figure, alt: str = "") -> bytes:
    """The figure as PNG bytes with its alt text as description; the same bytes every time.

    256 colours, chosen for the picture: a third of the size, and no difference to be seen.
    """
    from PIL import Image, PngImagePlugin

    drawn, small = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png", dpi=120)
    text = PngImagePlugin.PngInfo()
    text.add_text("Description", alt)
    # "Maximum coverage": the median cut would give a small mark the colour of a larger neighbour.
    method, plain = Image.Quantize.MAXCOVERAGE, Image.Dither.NONE
    picture = Image.open(drawn).convert("RGB").quantize(256, method, kmeans=2, dither=plain)
    picture.save(small, format="png", optimize=True, pnginfo=text)
    return small.getvalue()


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
    half: float | None = None,
    further: str = PREDICT,
) -> None:
    """What re-trained models show, behind whatever is drawn on ``axis``: their range dark, the
    prediction interval light.

    ``table`` has the columns of :data:`BOUNDS` (NaN: not known) at each value of its index;
    ``further`` is what the legend calls the prediction. With ``half`` they aren't bands over x but
    boxes, so far to either side of each row.
    """
    for low, high, color, label, z in (
        ("predict_low", "predict_high", FURTHER, further, 0.0),
        ("low", "high", BAND, RANGE, 0.1),
    ):
        known = table[[low, high]].dropna()
        look: dict[str, Any] = {"color": color, "lw": 0, "zorder": z}
        if len(known) and half is None:  # all of the table: where nothing is known is a gap
            axis.fill_between(table.index, table[low], table[high], label=label, **look)
        for k, (at, limits) in enumerate(known.iterrows() if half else ()):
            rows = [at - half, at + half]
            axis.fill_betweenx(rows, *limits, label=None if k else label, **look)


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
