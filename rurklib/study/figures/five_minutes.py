"""The picture of notebook 0: where models change their mind, and what it comes to."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure

from rurklib.study.figures.style import BAND, DOTTED, INK, canvas, style

SPECIES = ("#de8f05", "#8c3f8c")
LOOK = {"RURK, too much": {"color": "#d55e00", "marker": "X"}}
AHEAD, RED = 0.05, "#d1002c"  # a lead that is marked


def five_minutes(
    models: Mapping[str, torch.nn.Module],
    retrained: Sequence[torch.nn.Module],
    flowers: tuple[torch.Tensor, torch.Tensor, Sequence[str]],
    forget: torch.Tensor,
    copies: torch.Tensor,
    ratio: Mapping[str, float],
    band: Sequence[float],
) -> tuple[Figure, pd.DataFrame, str]:
    """Decision lines beside residual knowledge on the retrain band.

    ``models``: by name, Original among them, each from two measurements to two logits;
    ``retrained`` likewise. ``flowers``: their measurements [n, 2], species [n] and the species'
    names. ``forget``: which of them are to be forgotten [f]; ``copies``: noisy copies of these
    [draws, f, 2]. ``ratio``: residual knowledge by model; ``band``: of each re-trained one.

    Returns the figure, its data (model, ratio, placement) and its alternative text.
    """
    low, high, many = min(band), max(band), {8: "eight"}.get(len(band), len(band))
    table = pd.DataFrame({"model": list(ratio), "ratio": list(ratio.values())})
    table["placement"] = [placed(value, low, high) for value in table.ratio]
    figure, axes = canvas(width=8.6, height=4.3, mosaic=[["plane", "numbers"]])
    carried = _plane(axes["plane"], models["Original"], retrained, flowers, forget, copies)
    axis = axes["numbers"]
    axis.axhspan(low, high, color=BAND, lw=0, label=f"retrain band: {many} re-trained models")
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


def _plane(axis, original, retrained, flowers, forget, copies) -> str:
    x, y, names = flowers
    grid = [torch.linspace(c.min() - 0.4, c.max() + 0.4, 150) for c in x.T]
    points, sides = torch.cartesian_prod(*grid), [side.numpy() for side in grid]

    def field(model):  # positive where it says the second species
        return model(points).diff().reshape(150, 150).T.numpy()

    def right(model):  # on what share of each forgotten flower's copies
        return (model(copies).argmax(-1) == y[forget]).float().mean(0)

    with torch.no_grad():
        share = np.mean([field(model) > 0 for model in retrained], axis=0)
        border = field(original)
        lead = right(original) - torch.stack([right(model) for model in retrained]).mean(0)
    palette = matplotlib.colors.LinearSegmentedColormap.from_list(
        "species", [SPECIES[0], "white", SPECIES[1]]
    )
    axis.pcolormesh(*sides, share, cmap=palette, alpha=0.35, shading="nearest", rasterized=True)
    axis.contour(*sides, border, levels=[0.0], colors=INK, linewidths=2.0)
    axis.plot([], [], color=INK, lw=2.0, label="Original changes its mind here")
    for kind, (name, marker, color) in enumerate(zip(names, "os", SPECIES, strict=True)):
        axis.plot(*x[y == kind].T.numpy(), marker, ms=5, mfc=color, mec="white", mew=0.5,
                  label=f"{name} (shade: so say re-trained models)")  # fmt: skip
    axis.plot(*x[forget].T.numpy(), "o", ms=10, mfc="none", mec=INK, mew=1.1, label="forgotten")
    ahead = lead > AHEAD
    hard = x[forget][ahead]
    percent = 100 * lead[ahead].sum() / lead.clip(0).sum().clip(1e-9)
    who = f"{len(hard)} flowers have" if len(hard) > 1 else "one flower has"
    carried = f"{who} {percent:.0f} % of Original's lead" if len(hard) else ""
    axis.plot(*hard.T.numpy(), "o", ms=13, mfc="none", mec=RED, mew=2, label=carried or None)
    axis.plot(*copies[:40].flatten(0, 1).T.numpy(), ".", ms=1.2, color=INK, alpha=0.5,
              label="their noisy copies")  # fmt: skip
    axis.set_xlabel("length of the sepal (standardised)", fontsize=9.5)
    axis.set_ylabel("length of the petal (standardised)", fontsize=9.5)
    axis.spines[["top", "right"]].set_visible(False)
    return carried
