"""One look for all figures: a few methods have the same colour and marker everywhere, many the
colour and marker of what was found of them."""

import io
from typing import Any

import matplotlib
import seaborn as sns
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
    "Noise-brittle": (_C[3], "8"),  # two that cheat
    "Damped": (_C[5], "H"),
    "Smoothed": (_C[0], "d"),  # the control that is trained with noise
}


def found(said: Any) -> dict[str, Any]:
    """Colour, marker, line and legend of a verdict or a side (a name in VERDICTS or SIDES)."""
    verdict, label = SIDES.get(said, (said, said))
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
