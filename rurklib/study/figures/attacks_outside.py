"""What attacks find outside re-trained models, in colours and bars: notebook 7.

``cells`` and ``shares`` are as :mod:`rurklib.study.stages.attack_tables` gives them, ``halves``
names the statistics shown, the one of the forget set first. Each returns figure, data and alt.
"""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from rurklib.study.figures.charts import attack_heat, outside_bars
from rurklib.study.figures.style import listed

Drawn = tuple[Figure, pd.DataFrame, str]
Halves = Mapping[str, str]


def by_half(
    table: pd.DataFrame, cells: pd.DataFrame, shares: pd.DataFrame, halves: Halves, target: str
) -> Drawn:
    """One run, both halves; ``target`` is the method that the title sets beside Original."""
    share = _percent(shares, halves)
    level, member = (share[half].map("{:.0f} %".format) for half in halves)
    title = (
        f"{target} is outside in {level[target]} of attacks x seeds on the forget set, in "
        f"{member[target]} against held-out samples;\n"
        f"Original in {level['Original']} and {member['Original']}"
    )
    alt = (
        "A cell for each attack and method, on the forget set and against held-out samples; colour "
        "is how many standard deviations of a further re-trained model a method is away. Share "
        f"outside, forget set and against held-out: {_told(share.sort_index())}."
    )
    shown = table[table.statistic.isin(halves)]
    return attack_heat(cells, "statistic", halves, title=title), shown, alt


def cheats(
    catches: pd.DataFrame, cells: pd.DataFrame, shares: pd.DataFrame, halves: Halves,
    methods: Sequence[str],
) -> Drawn:  # fmt: skip
    """The same of some ``methods``: Original, a method and the cheats. ``catches`` is the data."""
    level = _percent(shares, halves).iloc[:, 0]
    told = listed(level[[*methods]], "{} {:.0f} %")
    title = f"Attacks x seeds outside on the forget set:\n{told}"
    alt = (
        f"The attacks on Original, on {methods[1]} and on two cheating unlearners. Attacks and "
        f"seeds outside on the forget set: {told}."
    )
    its = cells[cells.method.isin(methods)]
    return attack_heat(its, "statistic", halves, title=title), catches, alt


def by_scenario(cells: pd.DataFrame, shares: pd.DataFrame, said: pd.Series, target: str) -> Drawn:
    """Several runs on their forget sets; ``said``: what most seeds of each cell say."""
    level, its = cells[cells.statistic == "level"], shares[shares.statistic == "level"]
    titles = {name: f"{name}, on the forget set" for name in level.scenario.unique()}
    most = said[level.index[level.method == target]].value_counts()
    above, below, inside = (most.get(side, 0) for side in ("above", "below", "inside"))
    title = (
        f"{target} on the forget set, attacks x scenarios by what most seeds say: above re-trained "
        f"models {above},\nbelow {below}, inside {inside}"
    )
    both = [f"{100 * r.above:.0f} / {100 * r.below:.0f} %" for r in its.itertuples()]
    sides = pd.Series(both, pd.MultiIndex.from_frame(its[["scenario", "method"]]))
    told = "; ".join(f"{s}: {listed(sides[s], '{} {}')}" for s in its.scenario.unique())
    alt = (
        "A cell for each attack and method, a panel for each scenario; colour is how many standard "
        "deviations of a further re-trained model a method is above (orange) or below (blue). "
        f"Attacks x seeds above / below: {told}."
    )
    return attack_heat(level, "scenario", titles, title=title), cells, alt


def both_halves(shares: pd.DataFrame, halves: Halves, methods: Sequence[str]) -> Drawn:
    """Shares of several runs as bars; the title tells those of ``methods``."""
    mean = _percent(shares, halves)
    title = "Outside on the forget set and against held-out samples, mean over scenarios:\n"
    alt = (
        "Share of attacks and seeds above and below re-trained models, by method and scenario. On "
        f"the forget set and against held-out samples, mean over scenarios: {_told(mean)}."
    )
    return outside_bars(shares, halves, title=title + _told(mean.loc[[*methods]])), shares, alt


def _percent(shares: pd.DataFrame, halves: Halves) -> pd.DataFrame:
    """Outside in percent, mean over scenarios: a row for each method, a column for each half."""
    out = shares.assign(out=100 * (shares.above + shares.below))
    mean = out.groupby(["method", "statistic"], sort=False).out.mean()
    return mean.unstack(sort=False)[[*halves]]


def _told(share: pd.DataFrame) -> str:
    return ", ".join("{} {:.0f} and {:.0f} %".format(*row) for row in share.itertuples())
