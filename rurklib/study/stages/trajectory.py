"""The verdict after every epoch of a method: when does it forget, and when does it overdo it?"""

from itertools import groupby
from typing import Any

import pandas as pd
from torch import nn

from rurklib import checks
from rurklib.residual.counts import Counts, count_hits
from rurklib.residual.placement import in_most
from rurklib.residual.result import ResidualKnowledge
from rurklib.residual.spec import Measurement
from rurklib.study import files
from rurklib.study.figures.lines import over_epochs
from rurklib.study.ids import ModelId
from rurklib.study.memo import ARRAYS, key, memo
from rurklib.study.report.saved import save_figure
from rurklib.study.run import Run
from rurklib.study.stages.making import content_of, unlearned
from rurklib.study.stages.measure import residual, samples, verdicts
from rurklib.study.stages.parallel import parallel
from rurklib.study.stages.trials import random_law
from rurklib.train.loop import after_each_pass
from rurklib.unlearn.contract import defaults


def has_epochs(method: str) -> None:
    """Raise InputError for a method that doesn't learn in passes over its data."""
    if not {"epochs", "recipe"} & defaults(method).keys():
        raise checks.InputError(
            f"every epoch of {method}: it has none; expected a method that learns in passes over "
            "its data, such as GD or RURK"
        )


def every_epoch(run: Run, method: str) -> Any:
    """Unlearn again, and judge the model after every pass beside the run's re-trained models, on
    the same copies, under the scenario's first law that needs no gradient.

    Writes the figure ``03_every_epoch_METHOD`` of the run, and returns it; its data have a row for
    each seed and epoch (0: Original), with the columns of
    :func:`rurklib.study.stages.measure.verdicts` beside. The last epoch is the method's own model;
    of a method in two steps the passes of both count, of UNSIR those of impair and repair. Raises
    InputError for a method without epochs.
    """
    has_epochs(checks.one_of("method", method, run.scenario.methods))
    own = residual(run, law := random_law(run), methods=["Original"])
    begun = own.counts[own.models[0]]
    asked = Measurement(
        begun.taus, law, begun.draws, bounds=run.data.bounds,
        precision=run.scenario.recipe.precision,
    )  # fmt: skip
    tasks = [(_counted, (run, method, seed, asked)) for seed in run.seeds]
    parts = parallel(run, tasks, f"every epoch of {method}")
    counts = Counts.joined([begun, *parts])
    models = own.models + tuple(name for part in parts for name in part.models)
    everyone = dict.fromkeys((*models, *own.references), counts)
    frame = verdicts(ResidualKnowledge(everyone, models, own.references, y=own.y))
    told = frame.method.str.extract(r"@(\d+)$")[0]
    frame.insert(2, "epoch", told.fillna("0").astype(int))
    frame = frame.assign(method=method).sort_values(["seed", "epoch"], ignore_index=True)
    title = described(frame, method)
    alt = (
        f"Ratio of {method} at tau {frame.tau[0]:g} after each epoch, a line for each seed, marked "
        f"by its verdict, on the grey band of a further re-trained model. {title}"
    )
    figure = over_epochs(frame, title=title, whole_class=run.whole_class)
    return save_figure(run, figure, f"03_every_epoch_{method}", data=frame, alt=alt)


def described(frame: pd.DataFrame, method: str) -> str:
    """What the verdicts in most seeds are, from epoch to epoch, in a sentence."""
    most = frame[frame.epoch > 0].groupby("epoch").finding.agg(in_most)
    parts = []
    for verdict, its in groupby(most.items(), key=lambda item: item[1]):
        epochs = [epoch for epoch, _ in its]
        span = f"s {epochs[0]} to {epochs[-1]}" if len(epochs) > 1 else f" {epochs[0]}"
        parts.append(f"{verdict} after epoch{span}")
    if len(parts) > 3:
        parts = [f"the verdict changes {len(parts) - 1} times in {len(most)} epochs", parts[-1]]
    most_seeds = ", in most seeds" * (frame.seed.nunique() > 1)
    return f"{method}{most_seeds}: {', '.join(parts)}"


def _counted(run: Run, method: str, seed: int, asked: Measurement) -> Counts:
    """The counts of one seed's model after every pass, from a file if they are known already."""
    (x, y), name = samples(run, "forget"), ModelId(method, seed)

    def make() -> dict[str, Any]:
        seen: list[nn.Module] = []
        with after_each_pass(seen.append):
            unlearned(run, method, seed, run.scenario.hyperparameters(method))
        if not seen:
            raise checks.InputError(
                f"every epoch of {method}: it trains by a loop of its own; expected SGD.minimise "
                "or fit"
            )
        counts = count_hits(dict(enumerate(seen)), x, y, asked)
        return {"hits": counts.hits, "margins": counts.margins}

    given = {"model": content_of(run, name), "asked": asked}
    wanted = key([count_hits], {**given, "samples": files.weights_digest({"x": x, "y": y})})
    arrays = memo(run.folder / "counts" / "every-epoch" / f"{name}.npz", make, wanted, ARRAYS)
    names = tuple(ModelId(f"{method}@{k}", seed) for k in range(1, len(arrays["hits"]) + 1))
    return Counts(
        arrays["hits"], names, tuple(asked.taus), asked.draws, asked.perturbation, asked.seed,
        margins=arrays["margins"],
    )  # fmt: skip
