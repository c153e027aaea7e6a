"""Two doubts about a ratio: is it memory, and do models differ where it is 1?

**Memory.** How much of a ratio is memory? What a model shows on forget samples beyond what it shows
on samples of their class that nobody trained on.

A re-trained model saw fewer samples of the class and says the class less often of *any* sample, so
a model that saw them all has a ratio above 1 on strangers as well. Two controls take that away:

- *held-out samples*: the ratio on the forgotten over the ratio on held-out samples of the class;
- *equal class shares* (:func:`rurklib.study.same_prior`): a model that saw the forgotten samples
  but, in their class, as many samples in all as the re-trained ones.

Neither needs the other, and where both are near 1 there is nothing left to call memory.

**The paper's Tables C.6 to C.8.** What happens near each forget sample, against one reference.

C.6 is the share of forget samples with a ratio above 1, C.7 how often a model and a re-trained one
answer differently on the same copy, C.8 how often a model fails on a copy. The paper has one
re-trained model; here each number is a mean over all, each taken alone, and rows of Re-train are
each reference against each other one: what there is between models that never saw the samples.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch

from rurklib import tensors
from rurklib.perturb import PERTURBATIONS
from rurklib.residual import statistics
from rurklib.residual.inference import accelerate, laid_out
from rurklib.residual.result import ResidualKnowledge
from rurklib.residual.statistics import accuracy
from rurklib.study import store
from rurklib.study.measurement import residual
from rurklib.study.models import load_models, same_prior
from rurklib.study.parallel import parallel
from rurklib.study.run import SAME_PRIOR, ModelId, Run
from rurklib.tensors import generator

# What is counted, and the paper's table of it.
TABLES = {
    "prevalence": "Table C.6: % of forget samples with a ratio above 1",
    "disagreement": "Table C.7: % of copies on which a model and a re-trained one differ",
    "unlearn": "Table C.8: % of copies of forget samples that are not recognised",
}


def memory(run: Run, *, equal_shares: bool = True) -> pd.DataFrame:
    """:func:`beyond` for every model of a run under its first perturbation, a row per model and
    tau; a model with the references' class shares is trained for each seed (``equal_shares``).
    Written to memory.csv.

    Columns: method, seed, tau, ratio (accuracy on copies of the forgotten over the references'
    mean), held_out_ratio, memory (the one over the other) with memory_low and memory_high, between
    which 95 % of further re-trained models are expected, and p. NaN where a model, or one of the
    re-trained ones, recognises none of either: no memory and no p follow from a zero.

    Raises InputError where less of the class is retained than forgotten.
    """
    trained = [SAME_PRIOR] if equal_shares and same_prior(run) else []
    shown = ["Original", *trained, *run.scenario.methods]
    law = run.scenario.perturbations[0]
    parts = [residual(run, law, part=part, methods=shown) for part in ("forget", "held_out")]
    models, references = parts[0].models, parts[0].references
    forgotten, held_out = (_accuracies(result, (*models, *references)) for result in parts)
    frames = []
    for i, name in enumerate((*models, *references)):
        others = [j for j in range(len(models), len(forgotten)) if j != i]
        columns = beyond(forgotten[[i, *others]], held_out[[i, *others]])
        frames.append(pd.DataFrame({**name._asdict(), "tau": run.scenario.taus, **columns}))
    frame = pd.concat(frames, ignore_index=True)
    store.write_frame(run.folder / "memory.csv", frame)
    return frame


def beyond(forgotten: np.ndarray, held_out: np.ndarray) -> dict[str, np.ndarray]:
    """What a model shows on the forgotten beyond what it shows on held-out samples, [tau] each.

    ``forgotten`` and ``held_out`` are accuracies in [0, 1], [1 + k, tau]: the model's, then those
    of k references. ``memory`` = exp(d - mean d of the references), d = log forgotten - log held
    out: the ratio of the two ratios, by geometric means. The interval is the t prediction for the d
    of one more reference (:func:`rurklib.residual.statistics.predict`), ``p`` goes with it.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio, other = (part[0] / part[1:].mean(0) for part in (forgotten, held_out))
        some = (forgotten > 0) & (held_out > 0)  # a zero isn't infinitely little: it is too few
        d = np.where(some, np.log(forgotten) - np.log(held_out), np.nan)
        middle = d[1:].mean(0)
        low, high = statistics.predict(d[1:])
        found = {"memory": d[0], "memory_low": low, "memory_high": high}
        return {
            "ratio": ratio,
            "held_out_ratio": other,
            **{name: np.exp(value - middle) for name, value in found.items()},
            "p": statistics.p_value(d[0], d[1:]),
        }


def _accuracies(result: ResidualKnowledge, names: tuple[ModelId, ...]) -> np.ndarray:
    """Of each model on the copies that were made for it, [model, tau]."""
    draws = result.counts.options.draws
    return np.stack([accuracy(result.counts.hits[n], draws) for n in names])


def from_counts(result: ResidualKnowledge) -> pd.DataFrame:
    """What the counts of a measurement say of it, a row per model and tau, in percent.

    ``prevalence``: samples that the model recognises more often than one re-trained model does,
    which recognises them at least once: as in the paper, x / 0 counts as nothing.
    ``prevalence_with_undefined``: where it counts as above 1. ``unlearn``: 100 less accuracy.
    ``disagreement_low`` and ``disagreement_high``: what hits alone allow of C.7. Of two models that
    recognise a and b of n copies, at least |a - b| copies and at most min(n, 2 n - a - b) get
    different answers (two wrong answers may be different, or the same).
    """
    rows, n, taus = [], result.counts.options.draws, result.counts.options.taus
    for name in (*result.models, *result.references):
        own, others = result.hits_of(name)
        columns = {
            "prevalence": ((own > others) & (others > 0)).mean((0, 2)),
            "prevalence_with_undefined": (own > others).mean((0, 2)),
            "disagreement_low": (abs(own - others) / n).mean((0, 2)),
            "disagreement_high": (np.minimum(n, 2 * n - own - others) / n).mean((0, 2)),
            "unlearn": 1 - statistics.accuracy(own, n),
        }
        percent = {column: 100 * share for column, share in columns.items()}
        rows.append(pd.DataFrame({"model": [name] * len(taus), "tau": taus, **percent}))
    return pd.concat(rows, ignore_index=True)


def disagreement(answers: Mapping[Any, np.ndarray], references: list[Any]) -> dict[Any, np.ndarray]:
    """How often each model answers otherwise than a reference on the same copy, [tau] in percent,
    mean over the references but itself. ``answers``: the classes said, [tau, draw, sample]."""
    return {
        name: np.mean(
            [100 * (own != answers[r]).mean((1, 2)) for r in references if r != name], axis=0
        )
        for name, own in answers.items()
    }


def neighbourhoods(run: Run, *, draws: int = 20) -> pd.DataFrame:
    """Tables C.6 to C.8 of a run: columns method, seed, tau and those of :func:`from_counts`, with
    ``disagreement``, of every model, so that a mean over seeds is of the same seeds throughout.

    All but ``disagreement`` follow from the run's counts under its first perturbation. Counts don't
    hold which wrong class was said, so the models are asked once more for that, on ``draws``
    copies of each sample at each tau (at most the scenario's); it is NaN throughout where the
    perturbation searches on a model. Written to neighbourhoods.csv.
    """
    result = residual(run, run.scenario.perturbations[0])
    frame = from_counts(result)
    told: dict[Any, np.ndarray] = {}
    if not PERTURBATIONS[run.scenario.perturbations[0]].gradient_based:
        asked = [*result.models, *result.references]
        tasks = [(_answers, (run, name, min(draws, run.scenario.draws))) for name in asked]
        answers = dict(zip(asked, parallel(run, tasks, "answers to the same copies"), strict=True))
        told = disagreement(answers, [*result.references])
    at = frame.groupby("model", sort=False).cumcount()
    values = [told[m][k] if m in told else np.nan for m, k in zip(frame.model, at, strict=True)]
    frame.insert(4, "disagreement", values)
    names = pd.DataFrame([ModelId(*m) for m in frame.pop("model")])
    frame = pd.concat([names, frame], axis=1)
    store.write_frame(run.folder / "neighbourhoods.csv", frame)
    return frame


def paper_table(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """One of :data:`TABLES` as the paper prints it: a row per method, mean over its models, and a
    column per tau. ``frame`` as :func:`neighbourhoods` gives it."""
    table = frame.pivot_table(index="method", columns="tau", values=column, sort=False)
    table = table.rename(columns=lambda tau: f"tau {tau:g}")
    return table.reset_index().rename_axis(columns=None)


def _answers(run: Run, name: ModelId, draws: int) -> np.ndarray:
    """The class that a model says of copies that are the same for all, [tau, draw, sample]."""
    x, y = run.pair("forget")
    x, s = tensors.as_float(x), run.scenario
    net = load_models(run, [name])[name]
    rule = PERTURBATIONS[s.perturbations[0]]
    form = accelerate(net, x[:64], precision=s.recipe.precision)
    said = []
    with torch.inference_mode():
        for tau in s.taus:
            for i in range(draws):
                stream = generator(0, 60, i, device=x.device)
                copies = rule.sample(net, x, y, tau, [stream], run.data.bounds)
                said.append(form.of_many(laid_out(copies)).argmax(1).cpu().numpy())
    return np.stack(said).reshape(len(s.taus), draws, len(y))
