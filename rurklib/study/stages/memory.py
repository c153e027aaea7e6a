"""How much of a ratio is memory? What a model shows on the forgotten beyond what it shows on
samples of their class that nobody trained on.

A re-trained model saw fewer samples of the class and says the class less often of *any* sample, so
a model that saw them all has a ratio above 1 on strangers as well. Two controls take that away:

- *held-out samples*: the ratio on the forgotten over the ratio on held-out samples of the class;
- *equal class shares* (:func:`rurklib.study.same_prior`): a model that saw the forgotten samples
  but, in their class, as many samples in all as the re-trained ones.

Neither needs the other, and where both are near 1 there is nothing left to call memory.
"""

import numpy as np
import pandas as pd

from rurklib.residual import statistics
from rurklib.residual.result import ResidualKnowledge
from rurklib.residual.statistics import accuracy
from rurklib.study import files
from rurklib.study.ids import SAME_PRIOR, ModelId
from rurklib.study.run import Run
from rurklib.study.stages.measure import residual
from rurklib.study.stages.models import same_prior


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
    files.write_frame(run.folder / "memory.csv", frame)
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
        own, rest = d[0] - d[1:].mean(0), d[1:]
        below = (rest - rest.mean(0)) * len(rest) / max(len(rest) - 1, 1)
        low, high = statistics.predict(below)
        found = {"memory": own, "memory_low": low, "memory_high": high}
        return {
            "ratio": ratio,
            "held_out_ratio": other,
            **{name: np.exp(value) for name, value in found.items()},
            "p": statistics.p_value(own, below),
        }


def _accuracies(result: ResidualKnowledge, names: tuple[ModelId, ...]) -> np.ndarray:
    """Of each model on the copies that were made for it, [model, tau]."""
    return np.stack([accuracy(result.counts[n].of(n), result.counts[n].draws) for n in names])
