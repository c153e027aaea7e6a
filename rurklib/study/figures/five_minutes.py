"""The picture of notebook 0: where models change their mind, and what it comes to."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rurklib.study.figures.style import BAND, DOTTED, INK, canvas, style

SPECIES = ("#de8f05", "#8c3f8c")
LOOK = {"RURK, too much": {"color": "#d55e00", "marker": "X"}}
AHEAD, RED = 0.05, "#d1002c"  # a lead that is marked


def five_minutes(
    grid: Sequence[np.ndarray],
    original: np.ndarray,
    retrained: Sequence[np.ndarray],
    flowers: pd.DataFrame,
    copies: np.ndarray,
    ratio: Mapping[str, float],
    band: Sequence[float],
) -> tuple[Figure, pd.DataFrame, str]:
    """Decision lines beside residual knowledge on the retrain band.

    ``grid``: the two axes [a], [b]. ``original``, ``retrained``: what Original and each re-trained
    model answer on the grid [b, a], positive for the second species. ``flowers``: a row each with
    ``sepal``, ``petal``, ``species``, ``forgotten`` and, of forgotten ones, ``lead``: on what share
    more of its copies Original is right than re-trained models. ``copies``: some [n, 2].
    ``ratio``: residual knowledge by model; ``band``: that of each re-trained model.

    Returns the figure, its data (model, ratio, placement) and its alternative text.
    """
    low, high = min(band), max(band)
    table = pd.DataFrame({"model": list(ratio), "ratio": list(ratio.values())})
    table["placement"] = [placed(value, low, high) for value in table.ratio]
    figure, axes = canvas(width=8.6, height=4.3, mosaic=[["plane", "numbers"]])
    carried = _plane(axes["plane"], grid, original, retrained, flowers, copies)
    axis = axes["numbers"]
    axis.axhspan(low, high, color=BAND, lw=0, label="retrain band: eight re-trained models")
    axis.axhline(1, **DOTTED)
    for at, (name, value) in enumerate(ratio.items()):
        axis.plot([at], [value], ms=11, ls="", **(LOOK.get(name) or style(name)))
        axis.annotate(f"{name}\n{value:.2f}", (at, value), (0, 10), textcoords="offset points",
                      ha="center", fontsize=9.5)  # fmt: skip
    axis.set(
        xlim=(-0.6, len(ratio) - 0.4), ylim=(min(*ratio.values(), low) - 0.06, None), xticks=[]
    )
    axis.margins(y=0.2)
    axis.set_ylabel("residual knowledge (1: as re-trained)", fontsize=9.5)
    axis.spines[["top", "right", "bottom"]].set_visible(False)
    figure.legend(loc="outside lower left", ncols=2, frameon=False, fontsize=9)
    groups = {
        where: " and ".join(part.model) for where, part in table.groupby("placement", sort=False)
    }
    said = "; ".join(f"{names}: {where} the band" for where, names in groups.items())
    figure.suptitle(f"Near the forgotten flowers\n{said}", x=0.01, ha="left", fontsize=12)
    alt = (
        "Left: two species of iris in a plane, its colour by how many re-trained models say which, "
        "and the line on which Original changes its mind, which bends around forgotten flowers; "
        f"{carried or 'no flower has a lead worth a ring'}. Right: residual knowledge of "
        + ", ".join(f"{n} {v:.2f}" for n, v in ratio.items())
        + f" over the range of the re-trained models, {low:.2f} to {high:.2f}."
    )
    return figure, table, alt


def placed(value: float, low: float, high: float) -> str:
    """Where a model is, of the re-trained models' range.

    >>> placed(1.2, 0.9, 1.1), placed(1.0, 0.9, 1.1), placed(0.5, 0.9, 1.1)
    ('above', 'inside', 'below')
    """
    return "above" if value > high else "below" if value < low else "inside"


def _plane(axis, grid, original, retrained, flowers, copies) -> str:
    share = np.mean([field > 0 for field in retrained], axis=0)
    palette = matplotlib.colors.LinearSegmentedColormap.from_list(
        "species", [SPECIES[0], "white", SPECIES[1]]
    )
    axis.pcolormesh(*grid, share, cmap=palette, alpha=0.35, shading="nearest", rasterized=True)
    axis.contour(*grid, original, levels=[0.0], colors=INK, linewidths=2.0)
    axis.plot([], [], color=INK, lw=2.0, label="Original changes its mind here")
    for (species, one), marker, color in zip(
        flowers.groupby("species"), "os", SPECIES, strict=True
    ):
        axis.plot(one.sepal, one.petal, marker, ms=5, mfc=color, mec="white", mew=0.5,
                  label=f"{species} (shade: so say re-trained models)")  # fmt: skip
    ringed = flowers[flowers.forgotten]
    axis.plot(
        ringed.sepal, ringed.petal, "o", ms=10, mfc="none", mec=INK, mew=1.1, label="forgotten"
    )
    hard = flowers[flowers.lead > AHEAD]
    share = 100 * hard.lead.sum() / max(flowers.lead.clip(0).sum(), 1e-9)
    who = f"{len(hard)} flowers have" if len(hard) > 1 else "one flower has"
    carried = f"{who} {share:.0f} % of Original's lead" if len(hard) else ""
    axis.plot(hard.sepal, hard.petal, "o", ms=13, mfc="none", mec=RED, mew=2, label=carried or None)
    axis.plot(*copies.T, ".", ms=1.2, color=INK, alpha=0.5, label="their noisy copies")
    axis.set_xlabel("length of the sepal (standardised)", fontsize=9.5)
    axis.set_ylabel("length of the petal (standardised)", fontsize=9.5)
    axis.spines[["top", "right"]].set_visible(False)
    return carried
