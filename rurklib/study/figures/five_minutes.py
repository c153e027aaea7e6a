"""The picture of notebook 0: where models change their mind, and what it comes to."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from torch import Tensor, nn

from rurklib.study.figures.style import BAND, DOTTED, INK, RANGE, canvas, style

SPECIES = ("#de8f05", "#8c3f8c")
LOOK = {"RURK, too much": {"color": "#d55e00", "marker": "X"}}
AHEAD, RED = 0.05, "#d1002c"  # a lead that is marked
POINTS = 150  # of the grid, along each side


def five_minutes(
    models: Mapping[str, nn.Module],
    retrained: Sequence[nn.Module],
    flowers: tuple[Tensor, Tensor, Sequence[str]],
    forget: Tensor,
    copies: Tensor,
    ratio: Mapping[str, float],
    band: Sequence[float],
) -> tuple[Figure, pd.DataFrame]:
    """Decision lines beside residual knowledge on the retrain band.

    ``models``: by name, Original among them, each from two measurements to two logits;
    ``retrained`` likewise. ``flowers``: their measurements [n, 2], species [n] and the species'
    names. ``forget``: which of them are to be forgotten [f]; ``copies``: noisy copies of these
    [draws, f, 2]. ``ratio``: residual knowledge by model; ``band``: of each re-trained one.

    Returns the figure and its data (model, ratio, placement).
    """
    low, high = min(band), max(band)
    table = pd.DataFrame({"model": list(ratio), "ratio": list(ratio.values())})
    beyond = [table.ratio > high, table.ratio < low]
    table["placement"] = np.select(beyond, ["above", "below"], "inside")
    figure, axes = canvas(width=8.6, height=4.3, mosaic=[["plane", "numbers"]])
    figure.suptitle("Where models change their mind, and residual knowledge: iris", x=0.01,
                    ha="left", fontsize=12)  # fmt: skip
    _draw_plane(axes["plane"], models["Original"], retrained, flowers, forget, copies)
    axis = axes["numbers"]
    axis.axhspan(low, high, color=BAND, lw=0, label=RANGE)
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
    return figure, table


def _draw_plane(
    axis: Axes,
    original: nn.Module,
    retrained: Sequence[nn.Module],
    flowers: tuple[Tensor, Tensor, Sequence[str]],
    forget: Tensor,
    copies: Tensor,
) -> None:
    x, y, names = flowers
    grid = [torch.linspace(c.min() - 0.4, c.max() + 0.4, POINTS) for c in x.T]
    points, sides = torch.cartesian_prod(*grid), [side.numpy() for side in grid]

    def field(model: nn.Module) -> np.ndarray:  # positive where it says the second species
        return model(points).diff().reshape(POINTS, POINTS).T.numpy()

    def right(model: nn.Module) -> Tensor:  # on what share of each forget flower's copies
        return (model(copies).argmax(-1) == y[forget]).float().mean(0)

    with torch.no_grad():
        share = np.mean([field(model) > 0 for model in retrained], axis=0)
        border = field(original)
        lead = right(original) - torch.stack([right(model) for model in retrained]).mean(0)
    palette = LinearSegmentedColormap.from_list("species", [SPECIES[0], "white", SPECIES[1]])
    axis.pcolormesh(*sides, share, cmap=palette, alpha=0.35, shading="nearest", rasterized=True)
    axis.contour(*sides, border, levels=[0.0], colors=INK, linewidths=2.0)
    axis.plot([], [], color=INK, lw=2.0, label="Original changes its mind here")
    for kind, (name, marker, color) in enumerate(zip(names, "os", SPECIES, strict=True)):
        axis.plot(*x[y == kind].T.numpy(), marker, ms=5, mfc=color, mec="white", mew=0.5,
                  label=f"{name} (shade: so say re-trained models)")  # fmt: skip
    axis.plot(*x[forget].T.numpy(), "o", ms=10, mfc="none", mec=INK, mew=1.1, label="to forget")
    axis.plot(*x[forget][lead > AHEAD].T.numpy(), "o", ms=13, mfc="none", mec=RED, mew=2,
              label="to forget, and Original leads by more than 5 %")  # fmt: skip
    axis.plot(*copies[:40].flatten(0, 1).T.numpy(), ".", ms=1.2, color=INK, alpha=0.5,
              label="their noisy copies")  # fmt: skip
    axis.set_xlabel("length of the sepal (standardised)", fontsize=9.5)
    axis.set_ylabel("length of the petal (standardised)", fontsize=9.5)
    axis.spines[["top", "right"]].set_visible(False)
