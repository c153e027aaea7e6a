"""What a choice does: the number that comes out over the values that go in, and what it costs."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from rurklib.study.figures.curves import QUANTITIES, bands
from rurklib.study.figures.scaffold import grey_bands, panels
from rurklib.study.figures.style import DOTTED, LOOKS, style


def ablation_panels(
    frame: pd.DataFrame,
    choices: Mapping[str, tuple[str, str]],
    *,
    title: str,
    quantity: str = "ratio_of_means",
) -> Figure:
    """A panel for each group of a sweep: ``quantity`` of Original and the method for each value.

    ``frame`` has columns group, method, seed, the swept parameters, ``quantity`` and its bands: one
    row a model and cell. ``choices`` gives each group's parameter and its name for the axis. Marks
    are means over seeds, bars their range; grey is what re-trained models show in that cell, for
    where other samples are forgotten they differ too. Ratios share one scale.
    """
    ylabel, _, _, target = QUANTITIES[quantity]
    methods = [m for m in frame.method.unique() if m != "Re-train"]
    apart = {m: 0.18 * (k - (len(methods) - 1) / 2) for k, m in enumerate(methods)}
    with panels(
        {group: name for group, (_, name) in choices.items()}, title=title, size=(3.7, 2.5),
        ylabel=ylabel, about="the forget set of each cell", sharey=quantity == "ratio_of_means",
    ) as (figure, axes):  # fmt: skip
        for group, axis in axes.items():
            parameter, part = choices[group][0], frame[frame.group == group]
            values = list(part[parameter].drop_duplicates())
            cells = [part[part[parameter] == v] for v in values]
            null = [bands(cell.assign(tau=k), quantity) for k, cell in enumerate(cells)]
            grey_bands(axis, pd.concat(null), along="columns", half=0.42)
            for method, shift in apart.items():
                its = [c[c.method == method][quantity].agg(["min", "mean", "max"]) for c in cells]
                low, mean, high = pd.DataFrame(its).to_numpy().T
                at = [k + shift for k in range(len(cells))]
                axis.vlines(at, low, high, color=style(method)["color"], lw=1.4)
                axis.plot(at, mean, ms=6, ls="", label=method, **style(method))
            axis.axhline(target, **DOTTED)
            axis.set_xticks(range(len(values)), [_short(v) for v in values], fontsize=9)
    return figure


def pareto(frame: pd.DataFrame, *, title: str, groups: Mapping[str, str]) -> Figure:
    """What suppression costs: the logit margin against test accuracy, one mark a cell.

    ``frame`` has columns group, method, test_accuracy (percent) and margin_sd (in sd of re-trained
    models): of the method's cells, of Original and of Re-train, whose cloud is where one would want
    to be. ``groups`` names the sweeps that are shown, each by a colour and marker of its own.
    """
    where = ["test_accuracy", "margin_sd"]
    clouds = {m: frame[frame.method == m].drop_duplicates(where) for m in ("Re-train", "Original")}
    own = frame[~frame.method.isin(clouds)]
    with panels(
        {"": ""}, title=title, size=(7.6, 4.0), xlabel="test accuracy (%)",
        ylabel="margin, in standard deviations\nof re-trained models",
    ) as (figure, axes):  # fmt: skip
        for method, rows in clouds.items():
            look = {**style(method), "ls": "", "ms": 5, "alpha": 0.55}
            axes[""].plot(*rows[where].to_numpy().T, label=method, **look)
        for k, (group, name) in enumerate(groups.items()):
            look = {**LOOKS[k % len(LOOKS)], "ls": "", "ms": 6.5, "mec": "white", "mew": 0.5}
            axes[""].plot(*own[own.group == group][where].to_numpy().T, label=name, **look)
        axes[""].axhline(0, **DOTTED)
    return figure


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2g}"
    return str(value).replace("small-cnn", "net").replace("uniform-", "").replace("-", "\n")
