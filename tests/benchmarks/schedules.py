"""Does it matter that every fine-tuning method here lets its rate fall by half a cosine?

    python tests/benchmarks/schedules.py --scenario digits --out runs/schedules

The methods' papers mostly keep the rate constant (each method's notes say which). Every method with
a schedule is run with both, all else as the scenario has it, on three seeds; beside it six
re-trained models. Accuracies in percent; ``ratio`` is the accuracy on noisy copies of the forget
samples at the largest tau (20 copies of each) as a share of the re-trained models'. Finished runs
are kept; SCENARIO/schedules.csv (mean +- standard deviation over seeds) comes last.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from rurklib import METHODS
from rurklib.study import files, open_run, train, trials
from rurklib.study.scenarios.scenario import literal
from rurklib.study.stages.models import load_models
from rurklib.study.stages.trials import numbers
from rurklib.unlearn.contract import defaults

SCHEDULES = ("cosine", "constant")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenario", default="digits")
    parser.add_argument("--out", type=Path, default=Path("runs/schedules"))
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    given = parser.parse_args()
    settings = {k: literal(v) for k, v in (item.split("=", 1) for item in given.set)}
    folder = given.out / given.scenario
    run = open_run(given.scenario, folder, seeds=[0, 1, 2], settings={"references": 6, **settings})
    train(run)
    references = load_models(run, run.names("Re-train")).values()
    nearby = np.mean([numbers(run, model)["nearby"][-1] for model in references])
    rows = []
    for method in METHODS:
        if "schedule" in defaults(method):
            table = trials(run, method, [{"schedule": name} for name in SCHEDULES])
            table["ratio"] = table.nearby_accuracy / nearby
            rows += [{"method": method, **row} for row in shown(table)]
            print(rows[-2:], flush=True)
    table = pd.DataFrame(rows)
    files.write_frame(folder / "schedules.csv", table)
    print(table.to_string(index=False))


def shown(table: pd.DataFrame) -> list[dict[str, str]]:
    """A row a schedule as a page shows it."""
    columns = {"unlearn_accuracy": 1, "test_accuracy": 1, "ratio": 3}
    return [
        {"schedule": name}
        | {c: f"{part[c].mean():.{n}f} ± {part[c].std():.{n}f}" for c, n in columns.items()}
        for name, part in table.groupby("schedule", sort=False)
    ]


if __name__ == "__main__":
    main()
