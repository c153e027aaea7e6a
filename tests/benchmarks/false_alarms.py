"""False alarms and detection of the tests for residual knowledge, on real models.

    python tests/benchmarks/false_alarms.py --out runs/false_alarms

60 models re-trained without the forget samples and 20 Originals of the scenario ``digits`` are
trained, and their hits and logit margins on noisy copies of the forget samples counted once (kept
in --out, which git ignores; a second call only audits). Then every re-trained model is audited
against K random others, many times: an alarm is false. Every Original is audited against K random
re-trained models: no alarm is a miss. A third kind of model is a control for the margin test's
weak spot: each re-trained model with its logits multiplied by 1.2, which knows nothing more.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn

from rurklib import store, study
from rurklib.residual import Counts, count_hits
from rurklib.run import Run, open_run
from rurklib.scenarios import literal

RETRAINED, ORIGINALS = 60, 20


class Scaled(nn.Module):
    """A model with its logits multiplied by a number: the same answers, other confidence."""

    def __init__(self, model: nn.Module, factor: float) -> None:
        super().__init__()
        self.model, self.factor = model, factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.model(x) * self.factor


def counted(folder: Path, jobs: int, changes: dict[str, int]) -> Counts:
    """Counts of all models: 60 "Re-train ...", 20 "Original ...", 60 "Rescaled ..."."""
    settings = {"references": RETRAINED, **changes}
    run = open_run("digits", folder, seeds=range(ORIGINALS), settings=settings, jobs=jobs)
    study.train(run)
    path = folder / "false_alarms.npz"
    key = store.fingerprint(
        models=[store.load_weights(run.checkpoint(n))[1] for n in run.trained],
        code=store.code("perturb", "residual/counts", "guard"),
    )
    if not path.exists() or store.load_arrays(path)[1] != key:
        shares = [run.trained[i::jobs] for i in range(jobs)]
        parts = study.parallel(run, [(count, (run, share)) for share in shares])
        arrays = {
            "hits": np.concatenate([c.hits for c in parts]),
            "margins": np.concatenate([c.margins for c in parts]),
            "models": np.array([m for c in parts for m in c.models]),
        }
        store.save_arrays(path, arrays, key)
    a, s = store.load_arrays(path)[0], run.scenario
    names = tuple(map(str, a["models"]))
    return Counts(a["hits"], names, s.taus, s.draws, "gaussian", 0, margins=a["margins"])


def count(run: Run, names: list) -> Counts:
    """Hits and margins of some models of the run, and of the re-trained ones rescaled."""
    models: dict[str, nn.Module] = {}
    for (kind, seed), model in study.load_models(run, names).items():
        models[f"{kind} {seed}"] = model
        if kind == "Re-train":
            models[f"Rescaled {seed}"] = Scaled(model, 1.2)
    s = run.scenario
    return count_hits(models, *run.pair("forget"), taus=s.taus, draws=s.draws)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/false_alarms"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    given = parser.parse_args()
    changes = {k: literal(v) for k, v in (item.split("=", 1) for item in given.set)}
    counts = counted(given.out, given.jobs, changes)
    print(counts.hits.shape)


if __name__ == "__main__":
    main()
