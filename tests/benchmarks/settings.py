"""Two settings that the methods' papers leave open: how the rate falls, and the noise of NoisyRURK.

    python tests/benchmarks/settings.py --scenario digits --out runs/settings
    python tests/benchmarks/settings.py --scenario cifar5 --set path=cifar10.npz --out runs/settings

Every method with a schedule falls by half a cosine here, where its paper mostly keeps the rate
(each method's notes say which): both, all else as the scenario has it, make schedules.csv.
NoisyRURK with more and more noise, in a ball that the Originals just fit in, makes noisy.csv, with
the bound on the Renyi divergence of order 2, in nats, that would hold if the loss were convex.
Three seeds beside six re-trained models; accuracies in percent, mean +- standard deviation;
``ratio`` is the accuracy on noisy copies of the forget samples at the largest tau (20 copies of
each) as a share of the re-trained models'. Finished trials are kept.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from rurklib import METHODS
from rurklib.study import files, open_run, train, trials
from rurklib.study.scenarios.scenario import literal
from rurklib.study.stages.models import load_models
from rurklib.study.stages.trials import numbers
from rurklib.unlearn.contract import defaults
from rurklib.unlearn.noisy_rurk import renyi_epsilon

SHOWN = {"retain_accuracy": 1, "unlearn_accuracy": 1, "test_accuracy": 1, "ratio": 3}
SIGMAS = (0.0, 1e-4, 1e-3, 1e-2, 3e-2, 1e-1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenario", default="digits")
    parser.add_argument("--out", type=Path, default=Path("runs/settings"))
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    given = parser.parse_args()
    settings = {k: literal(v) for k, v in (item.split("=", 1) for item in given.set)}
    folder = given.out / given.scenario
    run = open_run(given.scenario, folder, seeds=[0, 1, 2], settings={"references": 6, **settings})
    train(run)
    references = load_models(run, run.names("Re-train")).values()
    nearby = np.mean([numbers(run, model)["nearby"][-1] for model in references])

    def tried(method: str, grid: list[dict]) -> pd.DataFrame:
        table = trials(run, method, grid)
        table["ratio"] = table.nearby_accuracy / nearby
        rows = [
            {c: part[c].iloc[0] for c in grid[0]}
            | {c: f"{part[c].mean():.{n}f} ± {part[c].std():.{n}f}" for c, n in SHOWN.items()}
            for _, part in table.groupby(list(grid[0]), sort=False)
        ]
        print(method, rows, flush=True)
        return pd.DataFrame(rows)

    both = [{"schedule": name} for name in ("cosine", "constant")]
    scheduled = [m for m in METHODS if "schedule" in defaults(m)]
    table = pd.concat({m: tried(m, both) for m in scheduled}, names=["method"])
    files.write_frame(folder / "schedules.csv", table.reset_index(level="method"))

    if "NoisyRURK" not in run.scenario.methods:  # it has no values there
        return
    own = run.scenario.hyperparameters("NoisyRURK")
    originals = load_models(run, run.names("Original")).values()
    norms = [torch.cat([w.flatten() for w in m.parameters()]).norm().item() for m in originals]
    radius = round(max(norms) + 0.05, 1)
    table = tried("NoisyRURK", [{"sigma": sigma, "radius": radius} for sigma in SIGMAS])
    moves = {"radius": radius, "lr": own["lr"], "steps": own["steps"]}
    bounds = [renyi_epsilon(2.0, sigma=sigma, **moves) for sigma in SIGMAS]
    table["epsilon, if convex"] = [f"{e:.2g}" for e in bounds]
    files.write_frame(folder / "noisy.csv", table)


if __name__ == "__main__":
    main()
