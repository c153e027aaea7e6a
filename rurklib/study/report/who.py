"""The picture of notebooks 1 to 3: a few forget samples, a noisy copy of each, and who knows it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor

from rurklib.study.figures.images import who
from rurklib.study.report.saved import save_figure
from rurklib.study.run import Run

RETRAINED, NAMED = "re-trained models", 4  # methods that a title has room for


def draw_who(
    run: Run,
    name: str,
    shown: Any,
    answers: Mapping[Any, Tensor],
    below: Mapping[str, Sequence[str]] | None = None,
) -> Any:
    """Save the picture as ``name`` and show it.

    ``shown``: a :class:`rurklib.study.stages.telling.Telling`. ``answers``: the class that each
    model, (method, seed), says of each copy, int64 [n]. ``below``: further lines of words [n].
    """
    labels = shown.labels.cpu().numpy()
    right: dict[str, Any] = {RETRAINED: []}
    for (method, _), said in answers.items():
        line = RETRAINED if method == "Re-train" else method
        right.setdefault(line, []).append(said.cpu().numpy() == labels)
    right = {line: np.stack(r) for line, r in right.items()}
    first = f"Original (seed {run.seeds[0]})"
    counted = {f"re-trained, of {shown.draws}": shown.retrained, first: shown.original}
    counts = {m: [f"{k:.0f}" for k in its] for m, its in counted.items()}
    words = {line: np.array(its) for line, its in [*counts.items(), *(below or {}).items()]}
    data = {"sample": shown.places, **{m: r.sum(0) for m, r in right.items()}, **words}
    alike = len(set(labels)) == 1  # or samples of any class are forgotten
    word = run.data.classes[int(labels[0])] if alike else "its class"
    images, copies = (part.cpu().numpy() for part in (shown.images, shown.copies))
    title = f"Chosen for seed {run.seeds[0]}'s lead: of {len(labels)} noisy copies "
    title += f"(tau {shown.tau:g}) {_told(right)}"
    return save_figure(
        run,
        who(images, copies, {**right, **words}, title=title, word=word),
        name,
        data=pd.DataFrame(data),
        alt=f"{len(labels)} forget samples of {run.forgotten}, a noisy copy of each, and how many "
        "models still say its class. "
        + ", ".join(f"{m} {' '.join(map(str, r.sum(0)))} of {len(r)}" for m, r in right.items())
        + ". Of all copies of a sample: "
        + ", ".join(f"{line} {' '.join(its)}" for line, its in words.items()),
    )


def _told(right: Mapping[str, np.ndarray]) -> str:
    """How many copies are recognised by Original, by re-trained models, and by other methods."""
    mean = {line: r.sum(1).mean() for line, r in right.items()}
    theirs, original = mean.pop(RETRAINED), mean.pop("Original")
    told = [f"{m} {k:.2g}" for m, k in mean.items()]
    if len(mean) >= NAMED:
        (least, low), (most, high) = (f(mean.items(), key=lambda o: o[1]) for f in (min, max))
        told = [f"methods from {low:.2g} ({least}) to {high:.2g} ({most})"]
    whose = f"Original recognises {original:.2g},\nre-trained models {theirs:.2g} on average"
    return f"{whose}{'; ' if told else ''}{', '.join(told)}"
