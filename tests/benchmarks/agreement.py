"""Residual knowledge among the field's other measures: who agrees with whom, and at what cost.

    python tests/benchmarks/agreement.py --run runs/digits --run runs/cifar5 --run runs/cifar10-cpu

Reads the models of finished studies. Every measure is taken of every model, on the same forget
samples and beside the same re-trained models. Its verdict is the package's: above, inside or below
what a further re-trained model would show (t prediction, 95 %, rurklib.residual.placement), from
what each re-trained model has beside the others. Residual knowledge has the verdict that the study
wrote down, by the rule of record, and its number is the ratio at the largest tau; the
exchangeability test has its own, on 20 noisy copies of each sample (or as many as the study has, if
fewer), which are counted here. So are those by which re-trained models are judged beside the
others: what is found of them, by any measure, is a false alarm. U-LiRA attacks a method's models
together, so three re-trained ones.

Written to the folder of ``--out``: cells.csv, a row for each data set, measure and model;
measures.csv and agreement_DATA.csv, which README.md shows; agreement.png, whose alternative text is
printed.
"""

import argparse
import timeit
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from torch import nn

from rurklib.metrics import u_lira
from rurklib.metrics.registry import METRICS
from rurklib.residual.controls import HELD_OUT
from rurklib.residual.counts import count_hits
from rurklib.residual.exchange import LESS_SURE, SURER
from rurklib.residual.placement import placement
from rurklib.residual.result import ResidualKnowledge
from rurklib.residual.spec import Measurement
from rurklib.residual.verdict import OVER, RESIDUAL
from rurklib.rng import mixed_seed
from rurklib.samples import as_float
from rurklib.study import files
from rurklib.study.figures.heat_and_bars import measure_heat
from rurklib.study.figures.style import png
from rurklib.study.ids import ModelId
from rurklib.study.run import Run, open_existing
from rurklib.study.stages.making import load_model
from rurklib.study.stages.measure import residual, samples, verdicts
from rurklib.study.stages.models import load_models

RULE, EXCHANGE, U_LIRA = "residual knowledge", "exchange", "U-LiRA"
# A measure of one model: its function in METRICS, and its column.
COLUMNS = {
    "LiRA": ("lira_columns", "lira_auc"),
    "KLoM": ("klom_column", "klom"),
    "epsilon": ("epsilon_column", "epsilon_low"),
    "activation": ("output_distance", "activation_distance"),
    "JS": ("output_distance", "js_divergence"),
    "ZRF": ("zrf", "zrf"),
    "MIA": ("papers_mia", "mia"),
}
MARGINS = "klom_column"  # whose reading is the margins
NEEDS = {  # beside the model and the forget samples
    RULE: "re-trained models, noisy copies",
    EXCHANGE: "held-out samples, noisy copies",
    "LiRA": "re-trained models",
    U_LIRA: "re-trained models, three seeds",
    "KLoM": "re-trained models",
    "epsilon": "re-trained models",
    "activation": "re-trained models",
    "JS": "re-trained models",
    "ZRF": "a blank net",
    "MIA": "retained and test samples",
}
ORDER = tuple(NEEDS)
LEFT_OUT = "LiRA"  # takes the re-trained models' mean off; what re-trained ones have is wider
SIDES = {RESIDUAL: "above", SURER: "above", OVER: "below", LESS_SURE: "below"}
OUTSIDE = ("above", "below")
COPIES = 20  # of each sample at each tau, for the exchange test; or the study's, if fewer
RETRAINED, TRAINING = "Re-train", "to re-train a model"
DATA = {"digits": "digits", "cifar5": "small CIFAR-5", "cifar10-cpu": "CIFAR-10"}

Cell = dict[str, object]
Names = Sequence[ModelId]
Read = Mapping[str, Mapping[ModelId, Any]]  # by a metric's key and model


def look(key: str, given: Mapping[str, Any], model: nn.Module) -> Any:
    """What a metric reads of a model, or says of it if it compares none."""
    metric = METRICS[key]
    asked = {k: {**given, "model": model}[k] for k in metric.needs}
    return (metric.reading or metric.function)(**asked)


def value(measure: str, read: Read, name: ModelId, references: Names) -> float:
    """A measure of one model beside re-trained ones but itself."""
    key, column = COLUMNS[measure]
    metric, found = METRICS[key], read[key][name]
    if metric.reading:
        found = metric.function(found, [read[key][r] for r in references if r != name])
    return metric.of(found)[column]


def by_columns(read: Read, judged: Names, references: Names) -> list[Cell]:
    """What metrics say of models, and of each re-trained one beside the others."""
    rows = []
    for measure in COLUMNS:
        for name in (*judged, *references):
            rest = [r for r in references if r != name]
            null = [value(measure, read, r, rest) for r in rest]
            rows.append(placed(measure, name, value(measure, read, name, rest), null))
    return rows


def by_attack(margins: Mapping[ModelId, Any], judged: Names, references: Names) -> list[Cell]:
    """U-LiRA on the models of each method, and on re-trained ones, three at a time."""
    methods = dict.fromkeys(n.method for n in judged)
    groups = [[n for n in judged if n.method == method] for method in methods]
    rows = []
    for group in [*groups, *(references[i : i + 3] for i in range(0, len(references), 3))]:
        rest = [r for r in references if r not in group]
        found = u_lira(*(np.stack([margins[n] for n in names]) for names in (group, rest)))
        rows += [placed(U_LIRA, *its) for its in zip(group, *found[1:], strict=True)]
    return rows


def placed(measure: str, name: ModelId, own: float, null: Sequence[float] | np.ndarray) -> Cell:
    """A number among those of re-trained models."""
    its = placement(own, null, left_out=measure == LEFT_OUT)
    row = {"measure": measure, **name._asdict(), "value": own, "retrained": its.reference}
    row |= {"low": its.predict_low, "high": its.predict_high, "p": its.p}
    return row | {"away": np.sign(its.t) * stats.norm.isf(its.p / 2), "side": its.finding}


def by_copies(run: Run, result: ResidualKnowledge) -> list[Cell]:
    """The rule of record, as the study has it and on re-trained models, and the exchange test."""
    null = replace(result, models=result.references)
    rows = []
    for v in pd.concat([pd.read_csv(run.table("verdicts.csv")), verdicts(null)]).itertuples():
        up = v.finding == RESIDUAL or (v.finding != OVER and v.effect > 0)
        row = {"measure": RULE, "method": v.method, "seed": v.seed, "value": v.ratio_of_means}
        row |= {"retrained": 1.0, "low": v.predict_low, "high": v.predict_high, "p": v.p}
        row["away"] = (2 * up - 1) * stats.norm.isf(v.p / 2)
        rows.append(row | {"side": SIDES.get(v.finding, "inside")})
    for name in (*result.models, *result.references):
        found = result.exchange(name)
        most = found.z[np.abs(found.z).argmax()]
        row = {"measure": EXCHANGE, **name._asdict(), "value": most, "retrained": 0.0, "p": found.p}
        row["away"] = np.sign(most) * stats.norm.isf(found.p / 2)
        rows.append(row | {"side": SIDES.get(found.finding, "inside")})
    return rows


def costs(run: Run, given: Mapping[str, Any], read: Read, result: ResidualKnowledge) -> dict:
    """Seconds that each measure takes one more model, re-trained ones having been looked at."""
    group, references = run.names("Original"), list(result.references)
    first = group[0]
    model = load_model(run, first)
    found = {m: timed(look, key, given, model) for m, (key, _) in COLUMNS.items()}
    both = [np.stack([read[MARGINS][n] for n in names]) for names in (group, references)]
    found[U_LIRA] = found["KLoM"] + timed(u_lira, *both) / len(group)
    for measure in COLUMNS:
        found[measure] += timed(value, measure, read, first, references)
    found |= {RULE: timed(result.judge, first), EXCHANGE: timed(result.exchange, first)}
    s, law = run.scenario, run.scenario.perturbations[0]
    asked = [(RULE, "forget", s.draws)]
    asked += [(EXCHANGE, part, min(COPIES, s.draws)) for part in ("forget", "held_out")]
    for measure, part, draws in asked:
        (x, y), how = samples(run, part), {"precision": s.recipe.precision}
        of = Measurement(s.taus, law, draws, bounds=run.data.bounds, **how)
        found[measure] += timed(count_hits, {first: model}, as_float(x), y, of)
    trained = pd.read_csv(run.table("summary.csv"))
    found[TRAINING] = trained.seconds[trained.method == RETRAINED].mean()
    return found


def timed(function: Any, *given: Any) -> float:
    """Seconds of a call, the least of three."""
    return min(timeit.repeat(lambda: function(*given), number=1, repeat=3))


def agreement(cells: pd.DataFrame) -> pd.DataFrame:
    """A row and a column for each measure, as text. Right of the diagonal: % of models that both
    call inside or both outside; left: Spearman's correlation over methods of how far away they are,
    the mean of |away| over seeds."""
    wide = cells[cells.method != RETRAINED].pivot(
        index=["method", "seed"], columns="measure", values=["away", "side"]
    )
    away = wide["away"].astype(float).abs().groupby("method").mean()
    table = pd.DataFrame("", index=list(ORDER), columns=list(ORDER))
    for i, a in enumerate(ORDER):
        for b in ORDER[i + 1 :]:
            table.loc[a, b] = f"{100 * alike(wide['side'], a, b).mean():.0f} %"
            table.loc[b, a] = f"{stats.spearmanr(away[a], away[b], nan_policy='omit')[0]:.2f}"
    return table.rename_axis("measure").reset_index()


def alike(side: pd.DataFrame, a: str, b: str) -> pd.Series:
    """Whether two measures both say inside or both outside, of models of which both say any."""
    known = side[(side[a] != "") & (side[b] != "")]
    return known[a].isin(OUTSIDE) == known[b].isin(OUTSIDE)


def counted(cells: pd.DataFrame, measures: Sequence[str]) -> list[str]:
    """How many models of how many are above and below, by measure; "" for what is none."""
    known = cells[cells.side != ""].groupby("measure").side
    each = known.agg(lambda s: f"{sum(s == 'above')}+, {sum(s == 'below')}− of {len(s)}")
    return [each.get(m, "") for m in measures]


def picture(cells: pd.DataFrame) -> tuple[bytes, str]:
    """The heat map of all measures, whose title says who agrees most and least with residual
    knowledge, and its alternative text."""
    shown = cells[cells.method != RETRAINED]
    side = shown.pivot(index=["data", "method", "seed"], columns="measure", values="side")
    side = side.loc[list(dict.fromkeys(shown.data))]
    with_us = {m: 100 * alike(side, RULE, m).mean() for m in ORDER[1:]}
    most, least = max(with_us, key=with_us.get), min(with_us, key=with_us.get)
    every = f"calling all models unlike would for {100 * side[RULE].isin(OUTSIDE).mean():.0f} %"
    title = (
        f"Is a model unlike re-trained ones? {most} agrees with residual knowledge for "
        f"{with_us[most]:.0f} % of models,\n{least} for {with_us[least]:.0f} %; {every}. "
        "Numbers: seeds of three\n"
        "above (+) and below (−) what a further re-trained model would show"
    )
    original = side.xs("Original", level="method").isin(OUTSIDE).groupby("data", sort=False).sum()
    blind = [
        f"on {DATA[d]} {', '.join(m for m in ORDER if row[m] < 2) or 'none'}"
        for d, row in original.iterrows()
    ]
    agreed = ", ".join(f"{m} {share:.0f} %" for m, share in with_us.items())
    agreed += f"; {every}"
    *others, final = (DATA[d] for d in original.index)
    alt = (
        f"A panel each for {', '.join(others)} and {final}: methods in rows, ten "
        "measures in columns, how many seeds are above or below re-trained models. Models on which "
        f"a measure agrees with residual knowledge: {agreed}. Measures that don't tell Original "
        f"from re-trained models in most seeds: {'; '.join(blind)}."
    )
    titles = {d: DATA[d] for d in original.index}
    return png(measure_heat(shown, titles, title=title), alt), alt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, action="append", required=True)
    parser.add_argument("--out", type=Path, default=Path("runs/measures"))
    given = parser.parse_args()
    every, table = [], pd.DataFrame({"measure": [*ORDER, TRAINING], "needs": [*NEEDS.values(), ""]})
    for run in map(open_existing, given.run):
        name, references = run.scenario.name, run.names(RETRAINED)
        judged = run.names("Original") + run.unlearned
        said = {part: run.pair(part) for part in ("retain", "forget", "test", "held_out")}
        said |= {"whole_class": run.whole_class, "blank": run.blank(mixed_seed(0, 21))}
        nets = load_models(run, [*judged, *references])
        keys = dict.fromkeys(key for key, _ in COLUMNS.values())
        read = {key: {n: look(key, said, net) for n, net in nets.items()} for key in keys}
        law, draws = run.scenario.perturbations[0], min(COPIES, run.scenario.draws)
        result, beside = (
            residual(run, law, part=part, draws=draws) for part in ("forget", "held_out")
        )
        result = replace(result, control_results={HELD_OUT: beside})
        rows = by_columns(read, judged, references) + by_copies(run, result)
        cells = pd.DataFrame(rows + by_attack(read[MARGINS], judged, references))
        cells.insert(0, "data", name)
        every.append(cells.sort_values("measure", key=lambda m: m.map(ORDER.index), kind="stable"))
        found = costs(run, said, read, result)
        is_null = cells.method == RETRAINED
        table[f"{DATA[name]}: seconds a model"] = [
            f"{float(f'{found[m]:.2g}'):g}" for m in table.measure
        ]
        table["models outside"] = counted(cells[~is_null], table.measure)
        table["re-trained ones outside"] = counted(cells[is_null], table.measure)
        table = table.rename(columns={c: f"{DATA[name]}: {c}" for c in table.columns[-2:]})
        files.write_frame(given.out / f"agreement_{name}.csv", agreement(cells))
    cells = pd.concat(every, ignore_index=True)
    files.write_frame(given.out / "cells.csv", cells)
    files.write_frame(given.out / "measures.csv", table)
    drawn, alt = picture(cells)
    files.write(given.out / "agreement.png", drawn)
    print(table.to_string(), alt, sep="\n")


if __name__ == "__main__":
    main()
