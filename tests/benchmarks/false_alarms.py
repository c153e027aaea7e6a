"""False alarms and detection of the tests for residual knowledge, on real models.

    python tests/benchmarks/false_alarms.py --out runs/false_alarms

60 models re-trained without the forget samples and 20 Originals of the scenario ``digits`` are
trained, and their hits and logit margins on noisy copies of the forget samples counted once (kept
in --out, which git ignores; a second call only audits). Then every re-trained model is audited
against K random others, many times: an alarm is false. Every Original is audited against K random
re-trained models: no alarm is a miss. Two more kinds show weak spots: "Rescaled" is a re-trained
model with its logits multiplied by 1.2, which knows nothing more; "Half" has the
counts of an Original on a random half of the samples, and of a re-trained model on the others.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn

from rurklib import study
from rurklib.residual.counts import Counts, Measurement, count_hits
from rurklib.residual.statistics import least_spread, log_odds, p_value
from rurklib.residual.verdict import PARTS, combined, values_of_parts
from rurklib.study import files, memo
from rurklib.study.run import Run, open_run
from rurklib.study.scenarios.scenario import literal

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
    weights = [files.digest(run.checkpoint(n)) for n in run.trained]
    key = memo.key([count_hits], {"weights": weights})
    if not path.exists() or files.load_arrays(path)[1] != key:
        shares = [run.trained[i::jobs] for i in range(jobs)]
        parts = study.parallel(run, [(count, (run, share)) for share in shares])
        arrays = {
            "hits": np.concatenate([c.hits for c in parts]),
            "margins": np.concatenate([c.margins for c in parts]),
            "models": np.array([m for c in parts for m in c.models]),
        }
        files.save_arrays(path, arrays, key)
    a, s = files.load_arrays(path)[0], run.scenario
    names = tuple(map(str, a["models"]))
    return halved(Counts(a["hits"], names, s.taus, s.draws, "gaussian", 0, margins=a["margins"]))


def halved(counts: Counts) -> Counts:
    """The counts, and those of "Half ..." for every re-trained model."""
    retrained = [m for m in counts.models if m.startswith("Re-train")]
    originals = [m for m in counts.models if m.startswith("Original")]
    half = np.stack(
        [
            np.random.default_rng(i).permutation(counts.hits.shape[-1]) % 2 == 0
            for i in range(len(retrained))
        ]
    )[:, None]
    knows = [counts.models.index(originals[i % len(originals)]) for i in range(len(retrained))]
    blank = [counts.models.index(m) for m in retrained]

    def mixed(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values, np.where(half, values[knows], values[blank])])

    names = (*counts.models, *(m.replace("Re-train", "Half") for m in retrained))
    return replace(counts, models=names, hits=mixed(counts.hits), margins=mixed(counts.margins))


def count(run: Run, names: list) -> Counts:
    """Hits and margins of some models of the run, and of the re-trained ones rescaled."""
    models: dict[str, nn.Module] = {}
    for (kind, seed), model in study.load_models(run, names).items():
        models[f"{kind} {seed}"] = model
        if kind == "Re-train":
            models[f"Rescaled {seed}"] = Scaled(model, 1.2)
    s = run.scenario
    return count_hits(models, *run.pair("forget"), Measurement(s.taus, draws=s.draws))


def p_values(counts: Counts, model: str, picks: np.ndarray) -> dict[str, np.ndarray]:
    """p of one model against each set of references in ``picks`` [k, set], by test."""
    k, at = len(picks), counts.models.index(model)
    values = values_of_parts(counts.hits, counts.margins, counts.draws)
    least = np.array([least_spread(counts.hits[pick], counts.draws) for pick in picks.T])
    floors = {"hits": least.mean(1), PARTS[-1]: least[:, 0]}

    def p(values: np.ndarray, least: float | np.ndarray = 0.0) -> np.ndarray:
        others = values[picks]  # below: what statistics.deviations gives for shared copies
        below = (others - others.mean(0)) * k / (k - 1)
        return p_value(values[at] - others.mean(0), below, least)

    odds, logs = log_odds(counts.hits, counts.draws), np.log(counts.hits.mean(-1)).mean(1)
    per_tau = np.stack([p(odds[:, t], least[:, t]) for t in range(odds.shape[1])])
    parts = {name: p(value, floors.get(name, 0.0)) for name, value in values.items()}
    return {
        "the rule": np.array([combined(row) for row in np.stack([*parts.values()], 1)]),
        **parts,
        "rank of mean log accuracy, one-sided": (1 + (logs[picks] >= logs[at]).sum(0)) / (k + 1),
        "Bonferroni over taus": np.minimum(per_tau.min(0) * len(per_tau), 1),
        "mean log accuracy": p(logs),
    }


def alarms(counts: Counts, kind: str, k: int, sets: int, level: float) -> pd.DataFrame:
    """Share of alarms for each model of a kind (rows) by test (columns)."""
    rng = np.random.default_rng([k, len(kind)])
    rows = []
    for name in (m for m in counts.models if m.startswith(kind)):
        seed = name.split()[1] if kind != "Original" else None
        pool = [
            i for i, m in enumerate(counts.models) if m.startswith("Re-") and m.split()[1] != seed
        ]
        picks = np.stack([rng.choice(pool, k, replace=False) for _ in range(sets)], 1)
        rows.append({t: (p < level).mean() for t, p in p_values(counts, name, picks).items()})
    return 100 * pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/false_alarms"))
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--sets", type=int, default=100, help="sets of references per model")
    parser.add_argument("--level", type=float, default=0.05)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    given = parser.parse_args()
    changes = {k: literal(v) for k, v in (item.split("=", 1) for item in given.set)}
    counts = counted(given.out, given.jobs, changes)
    sizes = (3, 6, 10, 20)
    for kind in ("Re-train", "Original", "Rescaled", "Half"):
        n = sum(m.startswith(kind) for m in counts.models)
        print(f"\n{kind}: alarms in % ({n} models, {given.sets} sets of K references each)\n")
        print("| test | " + " | ".join(f"K = {k}" for k in sizes) + " |")
        print("| --- |" + " ---: |" * len(sizes))
        tables = [alarms(counts, kind, k, given.sets, given.level) for k in sizes]
        for test in tables[0]:
            # The models are few and their sets of references overlap: the error is over models.
            cells = [f"{t[test].mean():.1f} ± {t[test].sem():.1f}" for t in tables]
            print(f"| {test} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
