"""What tables of attacks say, in words: the reading of notebook 7. ``cells`` are those of
:func:`rurklib.study.stages.attack_tables.compare_runs`."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import product

import pandas as pd

from rurklib.residual import ResidualKnowledge
from rurklib.study.stages.attack_tables import OUTSIDE, majority

HALVES = {"level": "on the forget set", "calibrated auc": "forget against held-out"}
TOLD = ("noise (margin)", "distance L2", "mapping (UMA)", "few shots")
_fill = textwrap.TextWrapper(96, subsequent_indent="    ").fill  # between words


def outside(cells: pd.DataFrame, methods: Sequence[str]) -> str:
    """One run: under which attacks most seeds of each method are outside, and under which none."""
    said = []
    for what, its in _each(cells[cells.known > 0], methods):
        most = [f"{r.attack} ({r.side})" for r in its.itertuples() if r.side in OUTSIDE]
        said += [f"{what}, of {len(its)} attacks:", _listed("outside in most seeds", most)]
        said.append(_listed("inside in every seed", its.attack[its.above + its.below == 0]))
    return "\n".join(said)


def members(table: pd.DataFrame, methods: Sequence[str]) -> str:
    """Forget against held-out samples by each method's best attack; ``table`` of one run."""
    said = []
    for method in methods:
        rows = table[(table.method == method) & (table.statistic == "calibrated auc")]
        best = rows.groupby("attack").value.mean().idxmax()
        said += [
            f"  {method}, seed {r.seed}, {best}: AUC {r.value:.2f} ({r.low:.2f} to {r.high:.2f}); "
            f"a further re-trained model {r.predict_low:.2f} to {r.predict_high:.2f}, p {r.p:.2g}"
            for r in rows[rows.attack == best].itertuples()
        ]
    return "\n".join(said)


def levels(cells: pd.DataFrame, methods: Sequence[str]) -> str:
    """One run's forget set under some attacks, and where a further re-trained model would be,
    beside the last method's Originals."""
    its = cells[cells.statistic == "level"].set_index(["attack", "method"])
    said = []
    for attack in TOLD:
        own = ", ".join(f"{m} {its.value[attack, m]:.2f}" for m in methods)
        low, high = its.loc[(attack, methods[-1]), ["predict_low", "predict_high"]]
        said.append(f"  {attack}: {own}; {low:.2f} to {high:.2f}")
    return "\n".join(said)


def everywhere(cells: pd.DataFrame, methods: Sequence[str]) -> str:
    """Several runs: under which attacks most seeds of each method say the same in all of them."""
    said = []
    for what, its in _each(cells, methods):
        by = its.pivot(index="attack", columns="scenario", values="side")
        by = by.reindex(its.attack.unique())
        said.append(f"{what}, in all {by.shape[1]} scenarios (most seeds):")
        said += [_listed(s, by.index[(by == s).all(axis=1)]) for s in (*OUTSIDE, "inside")]
    return "\n".join(said)


def side_by_side(cells: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    """Forget sets of several runs: value and prediction of each attack, by scenario and method."""
    its = cells[(cells.statistic == "level") & cells.method.isin(methods)]
    text = [f"{r.value:.3g} [{r.predict_low:.3g}, {r.predict_high:.3g}]" for r in its.itertuples()]
    columns = ["scenario", "method"]
    wide = its.assign(text=text).pivot(index="attack", columns=columns, values="text")
    order = [*product(its.scenario.unique(), methods)]
    return wide.reindex(index=its.attack.unique(), columns=order).fillna("")


def catches(measured: ResidualKnowledge, table: pd.DataFrame) -> pd.DataFrame:
    """Which question catches which model: question, method, seed, caught. Asked are the largest
    tau, the verdict and those on controls, and each attack of a run's ``table``."""
    rows = []
    for name in measured.models:
        asked = {"ratio at the largest tau": measured.rows(name).p_value.iloc[-1]}
        asked["verdict"] = measured.judge(name).p
        for part, result in measured.control_results.items():
            asked[f"verdict on {part} samples"] = result.judge(name).p
        rows += [(question, *name, p < 0.05) for question, p in asked.items()]
    methods = {method for method, _ in measured.models}
    tried = table[table.method.isin(methods) & table.statistic.isin(HALVES) & (table.finding != "")]
    rows += [
        (f"{r.attack}, {HALVES[r.statistic]}", r.method, r.seed, r.finding in OUTSIDE)
        for r in tried.itertuples()
    ]
    return pd.DataFrame(rows, columns=["question", "method", "seed", "caught"])


def caught(found: pd.DataFrame, methods: Iterable[str]) -> str:
    """What catches each method in every seed; ``found`` as :func:`catches` gives it."""
    share = found.groupby(["method", "question"], sort=False).caught.mean()
    said = []
    for method in methods:
        its = share[method]
        always, never = its.index[its == 1], (its == 0).sum()
        said += [
            _fill(f"{method}: caught in every seed by {len(always)} of {len(its)}: "
                  f"{'; '.join(always) or 'nothing'}"),
            f"  in no seed by {never} of them, {len(its) - len(always) - never} in some",
        ]  # fmt: skip
    return "\n".join(said)


def _each(cells: pd.DataFrame, methods: Sequence[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each method's cells of each half, in words, and with the side of most seeds."""
    cells = cells.assign(side=majority(cells))
    for method, (statistic, half) in product(methods, HALVES.items()):
        its = (cells.method == method) & (cells.statistic == statistic)
        yield f"{method}, {half}", cells[its]


def _listed(what: str, attacks: Sequence[str]) -> str:
    return _fill(f"  {what} under {len(attacks)}: {', '.join(attacks) or 'none'}")
