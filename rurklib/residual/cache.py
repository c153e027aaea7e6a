"""References' counts on disk: re-trained models are measured once, whatever is compared with them.

One file for each reference, named by a fingerprint of all that its counts depend on: weights and
structure of the model (and of the model that copies were found on), data, law, radii, draws, seed,
bounds, the package's code that matters, torch's version. Anything else makes another name, so
nothing goes stale; delete the folder to be rid of it. A file that can't be read is made again.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Hashable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rurklib import checks
from rurklib.perturb.perturbations import PERTURBATIONS
from rurklib.residual.counts import Counts, count_hits
from rurklib.residual.inference import Forward
from rurklib.residual.spec import Measurement
from rurklib.study import files, memo

CODE = (  # what counts depend on, as store.code takes it
    "perturb",
    "residual/counts",
    "residual/inference",
    "residual/sequential",
    "residual/spec",
    "models/logits",
    "rng",
    "model_state",
    "checks",
    "samples",
)


def count_kept(
    folder: Path,
    kept: Collection[Hashable],
    models: Mapping[Any, nn.Module],
    x: Tensor,
    y: Tensor,
    *,
    asked: Measurement,
    found_on: Hashable = None,
    forwards: Mapping[Any, Forward] | None = None,
) -> Counts:
    """:func:`count_hits`, where the counts of the models named in ``kept`` are read from
    ``folder`` if they are there, and written if not.

    The others are counted without them: a copy doesn't depend on which models see it.
    """
    searched = found_on if isinstance(found_on, nn.Module) else models.get(found_on)
    shared = _dependencies(x, y, searched, asked)
    files = {
        n: folder / f"{memo.fingerprint(model=identity(models[n]), **shared)}.npz" for n in kept
    }
    found = {n: counts for n, file in files.items() if (counts := _read(file, n, asked))}
    missing = {n: m for n, m in models.items() if n not in found}
    if missing:
        fresh = count_hits(missing, x, y, asked, found_on=searched, forwards=forwards)
        for name in missing:
            found[name] = fresh.only([name])
            if name in files:
                _write(files[name], found[name])
    parts = [found[n] for n in models]
    label = parts[0].found_on if isinstance(found_on, nn.Module) else found_on
    return replace(Counts.joined(parts), found_on=label if asked.gradient_based else None)


def identity(model: nn.Module) -> str:
    """What a model answers hangs on its weights, its layers and the code of its class."""
    return memo.fingerprint(
        weights=files.weights_digest(model.state_dict()),
        layers=str(model),
        code=[_source(kind) for kind in dict.fromkeys(type(m) for m in model.modules())],
    )


def _dependencies(
    x: Tensor, y: Tensor, searched: nn.Module | None, asked: Measurement
) -> dict[str, Any]:
    """What the counts of any model depend on beside the model itself, as plain data."""
    law = PERTURBATIONS[asked.perturbation]
    return {
        "data": files.weights_digest({"x": x, "y": y}),
        "law": [asked.perturbation, _source(law.sample)],
        "searched": identity(searched) if law.gradient_based and searched is not None else None,
        "taus": list(asked.taus),
        "draws": asked.draws,
        "seed": asked.seed,
        "bounds": asked.bounds,
        "code": memo.code(*CODE),
        "torch": torch.__version__,
        "device": x.device.type,
    }


def _source(thing: Any) -> str:
    """Source code of a class or function; its name where there is none (made interactively)."""
    try:
        return inspect.getsource(thing)
    except (OSError, TypeError):
        return f"{thing.__module__}.{thing.__qualname__}"


def _write(file: Path, counts: Counts) -> None:
    arrays = {
        "hits": counts.hits,
        "margins": counts.margins,
        "moved": counts.moved,
        "why": np.array(counts.not_accelerated.get(counts.models[0], "")),
    }
    files.save_arrays(file, arrays, file.stem)  # type: ignore[arg-type]


def _read(file: Path, name: Hashable, asked: Measurement) -> Counts | None:
    """The counts in a file, or None if it isn't there or can't be read."""
    try:
        arrays, fingerprint = files.load_arrays(file)
    except checks.InputError:
        return None
    if fingerprint != file.stem:
        return None
    why = str(arrays["why"])
    return Counts(
        arrays["hits"],
        (name,),
        tuple(asked.taus),
        asked.draws,
        asked.perturbation,
        asked.seed,
        moved=arrays["moved"],
        not_accelerated={name: why} if why else {},
        margins=arrays["margins"],
    )
