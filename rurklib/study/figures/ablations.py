"""What a choice does: the number that comes out over the values that go in, and what it costs.

Pictures of notebook 95 come with what they show and with an alternative text. Their ``frame`` has a
row a model and cell of a sweep, at the largest tau, ``method`` being whose choices were swept.
"""

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


def choices_figure(
    frame: pd.DataFrame, choices: Mapping[str, tuple[str, str]], method: str
) -> tuple[Figure, pd.DataFrame, str]:
    """What each choice does to the ratio, and in how many of the method's cells nothing is found.

    ``frame`` and ``choices`` as :func:`ablation_panels` takes them, with the column finding. The
    span of a choice is that of the means over seeds of its values. Returns the figure, its rows of
    ``frame`` and its alternative text.
    """
    shown = frame[frame.group.isin(choices)]
    own = shown[shown.method == method]
    means = {
        name: own[own.group == group].groupby(parameter).ratio_of_means.mean()
        for group, (parameter, name) in choices.items()
    }
    span = pd.Series({name: its.max() - its.min() for name, its in means.items()})
    span = span.sort_values(ascending=False)
    none = (own.finding == "none detected").sum()
    title = (
        f"{method}'s mean ratio moves most with {span.index[0]} (by {span.iloc[0]:.2f}), least "
        f"with {span.index[-1]} ({span.iloc[-1]:.2f});\n"
        f"nothing is detected in {none} of {len(own)} cells"
    )
    alt = (
        f"Residual knowledge at the largest tau of Original and {method} for each value of what "
        "was swept. Range of the means over values: "
        + ", ".join(f"{name} {value:.2f}" for name, value in span.items())
        + "."
    )
    return ablation_panels(shown, choices, title=title), shown, alt


def requests_figure(
    frame: pd.DataFrame, requests: Mapping[str, tuple[str, str]], method: str
) -> tuple[Figure, pd.DataFrame, str]:
    """Logit margins where other samples are forgotten, and in how many cells Original is found out.

    As :func:`choices_figure`, with the margin's columns: where a whole class is forgotten no ratio
    is defined. Returns the figure, its rows of ``frame`` and its alternative text.
    """
    shown = frame[frame.group.isin(requests)]
    original = shown[shown.method == "Original"]
    found = (original.finding == "residual knowledge").groupby(original.group).agg(["sum", "size"])
    count = {group: f"{its['sum']} of {its['size']}" for group, its in found.iterrows()}
    title = "Cells in which the verdict on Original is residual knowledge:\n" + ", ".join(
        f"{group} {count[group]}" for group in requests
    )
    alt = (
        f"Logit margin of Original and {method} above the re-trained mean for other requests. The "
        "verdict on Original is residual knowledge in: "
        + ", ".join(f"{requests[group][1]} {said}" for group, said in count.items())
        + "."
    )
    figure = ablation_panels(shown, requests, quantity="margin_difference", title=title)
    return figure, shown, alt


def norms_figure(
    frame: pd.DataFrame, norms: Mapping[str, str], method: str
) -> tuple[Figure, pd.DataFrame, str]:
    """Trained on noise in one ball, measured in each: a panel for each of ``norms`` (law: name).

    ``frame`` is that of one group, whose columns perturbation and law say which ball it was.
    Returns the figure, ``frame`` with the law as its group, and its alternative text.
    """
    shown = frame.assign(group=frame.law)
    own = frame[frame.method == method].groupby(["perturbation", "law"], sort=False)
    mean = own.ratio_of_means.mean().unstack()
    low, high = mean.min(axis=None), mean.max(axis=None)
    title = (
        f"Whatever ball {method} is trained on, its ratio is {low:.3f} to {high:.3f} in all three"
    )
    alt = (
        f"Residual knowledge of Original and {method} trained on uniform noise in three balls, "
        "measured in three: "
        + "; ".join(
            f"{norms[a]} on {norms[b]} {value:.3f}" for (a, b), value in mean.stack().items()
        )
    )
    choices = {law: ("perturbation", f"trained on; measured in {n}") for law, n in norms.items()}
    return ablation_panels(shown, choices, title=title), shown, alt


def costs_figure(
    frame: pd.DataFrame, groups: Mapping[str, str], method: str
) -> tuple[Figure, pd.DataFrame, str]:
    """Logit margin against test accuracy, and which cells are within two sd of re-trained models.

    ``frame`` and ``groups`` as :func:`pareto` takes them. Returns the figure, what it shows of
    ``frame`` and its alternative text.
    """
    shown = frame[frame.group.isin(groups)]
    cells, cloud = (shown[shown.method == m] for m in (method, "Re-train"))
    near = cells[cells.margin_sd.abs() <= 2]
    count, best = f"{len(near)} of {len(cells)} cells", f"{near.test_accuracy.max():.1f} %"
    again = f"{cloud.test_accuracy.min():.1f} to {cloud.test_accuracy.max():.1f} %"
    title = f"Within two sd of re-trained models at the largest tau: {count};\n"
    alt = (
        "Margin in standard deviations of the re-trained models against test accuracy: "
        f"{count} lie within two sd"
    )
    if len(near):
        title += f"the best has test accuracy {best}, re-trained models {again}"
        alt += f", the best at {best}"
    else:
        title += f"re-trained models have test accuracy {again}"
    kept = ["group", "cell", "seed", "method", "test_accuracy", "retain_accuracy", "margin_sd"]
    return pareto(shown, title=title, groups=groups), shown[[*kept, "ratio_of_means"]], f"{alt}."


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.2g}"
    return str(value).replace("small-cnn", "net").replace("uniform-", "").replace("-", "\n")
