"""Two doubts about a ratio: is it memory, and do models differ where it is 1?

**Memory.** A re-trained model saw fewer samples of the class and says the class less often of *any*
sample, so a model that saw them all has a ratio above 1 on strangers as well. Two controls take
that away, and neither needs the other:

- *held-out samples*: the ratio on the forgotten over the ratio on held-out samples of the class;
- *equal class shares* (:func:`rurklib.study.same_prior`): a model that saw the forgotten samples
  but, in their class, as many samples in all as the re-trained ones.

**The paper's Tables C.6 to C.8.** What happens near each forget sample, against one reference. The
paper has one; here each number is a mean over all, each taken alone, and rows of Re-train are each
reference against each other one: what there is between models that never saw the samples.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch

from rurklib import tensors
from rurklib.perturb import PERTURBATIONS
from rurklib.residual.inference import accelerate, laid_out
from rurklib.residual.result import ResidualKnowledge
from rurklib.residual.statistics import accuracy, p_value, predict
from rurklib.study import store
from rurklib.study.measurement import residual
from rurklib.study.models import load_model, same_prior
from rurklib.study.parallel import parallel
from rurklib.study.run import SAME_PRIOR, ModelId, Run

# What is counted, and the paper's table of it.
TABLES = {
    "prevalence": "Table C.6: % of forget samples with a ratio above 1",
    "disagreement": "Table C.7: % of copies on which a model and a re-trained one differ",
    "unlearn": "Table C.8: % of copies of forget samples that are not recognised",
}


def memory(run: Run) -> pd.DataFrame:
    """:func:`beyond` for every model of a run and one of equal class shares for each seed, under
    the first perturbation; written to memory.csv.

    Columns: method, seed, tau and those of :func:`beyond`. Raises InputError where less of the
    class is retained than forgotten.
    """
    same_prior(run)
    methods, law = ["Original", SAME_PRIOR, *run.scenario.methods], run.scenario.perturbations[0]
    results = [residual(run, law, part=part, methods=methods) for part in ("forget", "held_out")]
    models, references = results[0].models, results[0].references
    names = [*models, *references]
    hits = [np.stack([result.counts.hits[name] for name in names]) for result in results]
    shares = [counted.mean(-1) / run.scenario.draws for counted in hits]
    frames = []
    for i, name in enumerate(names):
        at = [i, *(k for k in range(len(models), len(names)) if k != i)]
        columns = beyond(*(share[at] for share in shares))
        frames.append(pd.DataFrame({**name._asdict(), "tau": run.scenario.taus, **columns}))
    frame = pd.concat(frames, ignore_index=True)
    store.write_frame(run.folder / "memory.csv", frame)
    return frame


def beyond(forgotten: np.ndarray, held_out: np.ndarray) -> dict[str, np.ndarray]:
    """What a model shows on the forgotten beyond what it shows on held-out samples, [tau] each.

    ``forgotten`` and ``held_out`` are accuracies in [0, 1], [1 + k, tau]: the model's, then those
    of k references. ``ratio`` and ``held_out_ratio`` are the model's over the references' mean.
    ``memory`` = exp(d - mean d of the references), d = log forgotten - log held out: the one ratio
    over the other, by geometric means. Between ``memory_low`` and ``memory_high`` 95 % of further
    references are expected (t); ``p`` goes with it. NaN where one of the models recognises none of
    either: a zero isn't infinitely little, it is too few.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        some = (forgotten > 0) & (held_out > 0)
        d = np.where(some, np.log(forgotten) - np.log(held_out), np.nan)
        middle, (low, high) = d[1:].mean(0), predict(d[1:])
        return {
            "ratio": forgotten[0] / forgotten[1:].mean(0),
            "held_out_ratio": held_out[0] / held_out[1:].mean(0),
            "memory": np.exp(d[0] - middle),
            "memory_low": np.exp(low - middle),
            "memory_high": np.exp(high - middle),
            "p": p_value(d[0], d[1:]),
        }


def from_counts(result: ResidualKnowledge) -> pd.DataFrame:
    """What counts say of a run: method, seed, tau, and in percent:

    ``prevalence``: samples that the model recognises more often than one re-trained model does,
    which recognises them at least once: as in the paper, x / 0 counts as nothing.
    ``prevalence_with_undefined``: where it counts as above 1. ``unlearn``: 100 less accuracy.
    ``disagreement_low`` and ``disagreement_high``: what hits alone allow of C.7. Of two models that
    recognise a and b of n copies, at least |a - b| copies and at most min(n, 2 n - a - b) get
    different answers (two wrong answers may be different, or the same).
    """
    n, frames = result.counts.options.draws, []
    for name in (*result.models, *result.references):
        a, b = result.hits_of(name)
        columns = {
            "prevalence": ((a > b) & (b > 0)).mean((0, 2)),
            "prevalence_with_undefined": (a > b).mean((0, 2)),
            "disagreement_low": (abs(a - b) / n).mean((0, 2)),
            "disagreement_high": (np.minimum(n, 2 * n - a - b) / n).mean((0, 2)),
            "unlearn": 1 - accuracy(a, n),
        }
        taus = {"tau": result.counts.options.taus}
        frames.append(pd.DataFrame({**name._asdict(), **taus, **columns}))
    frame = pd.concat(frames, ignore_index=True)
    frame[[*columns]] *= 100
    return frame


def disagreement(answers: Mapping[Any, np.ndarray], references: list[Any]) -> list[np.ndarray]:
    """How often each model answers otherwise than a reference on the same copy, [tau] in percent,
    mean over the references but itself. ``answers``: the classes said, [tau, draw, sample]."""
    rows = []
    for name, classes in answers.items():
        pairs = [classes != answers[r] for r in references if r != name]
        rows.append(np.mean([100 * differs.mean((1, 2)) for differs in pairs], axis=0))
    return rows


def neighbourhoods(run: Run, *, draws: int = 20) -> pd.DataFrame:
    """Tables C.6 to C.8 of a run under its first perturbation: :func:`from_counts`, with
    ``disagreement``; written to neighbourhoods.csv.

    Counts don't hold which wrong class was said, so every model is asked once more, on ``draws``
    copies of each sample at each tau (at most the scenario's). NaN where the perturbation searches
    on a model.
    """
    perturbation = run.scenario.perturbations[0]
    result = residual(run, perturbation)
    frame = from_counts(result)
    frame.insert(5, "disagreement", np.nan)
    if not PERTURBATIONS[perturbation].gradient_based:
        names = [*result.models, *result.references]
        tasks = [(_answers, (run, name, min(draws, run.scenario.draws))) for name in names]
        answers = dict(zip(names, parallel(run, tasks, "answers to the same copies"), strict=True))
        frame["disagreement"] = np.concatenate(disagreement(answers, [*result.references]))
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
    (x, y), s, rows = run.pair("forget"), run.scenario, []
    x, model = tensors.as_float(x), load_model(run, name)
    form = accelerate(model, x[:64], precision=s.recipe.precision)
    with torch.inference_mode():
        for tau in s.taus:
            for i in range(draws):
                stream = tensors.generator(0, 60, i, device=x.device)
                rule = PERTURBATIONS[s.perturbations[0]]
                copies = rule.sample(model, x, y, tau, [stream], run.data.bounds)
                rows.append(form.of_many(laid_out(copies)).argmax(1).cpu().numpy())
    return np.stack(rows).reshape(len(s.taus), draws, len(y))
