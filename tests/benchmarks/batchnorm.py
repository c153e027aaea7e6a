"""GA at the paper's rate: is it the weights that change, or BatchNorm's statistics alone?

    python tests/benchmarks/batchnorm.py --run runs/cifar10-cpu --out figures/cifar10-cpu

GA shows a model batches of forget samples alone; in train mode that moves the running means and
variances of BatchNorm towards them, whatever the rate. So Originals of a finished run are unlearned
by it twice, in float32, with statistics that move (its default) and with frozen ones.
Written to --out: batchnorm.csv, a row per seed and mode and one for Original: unlearn and test
accuracy (%), and ``moved``, the largest change of any weight.
"""

import argparse
from pathlib import Path

import pandas as pd

import rurklib
from rurklib.metrics.accuracy import accuracy
from rurklib.study import files
from rurklib.study.run import open_existing
from rurklib.study.stages.models import load_models


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    run, rows = open_existing(given.run), []
    retain, forget, test = (run.pair(part) for part in ("retain", "forget", "test"))
    values = run.scenario.hyperparameters("GA")
    for (_, seed), original in load_models(run, run.names("Original")).items():
        own = {"Original": original}
        for mode in ("train", "frozen"):
            changed = {**values, "batchnorm": mode}
            own[mode] = rurklib.unlearn("GA", original, retain, forget, seed=seed, **changed)
        for mode, model in own.items():
            pairs = zip(model.parameters(), original.parameters(), strict=True)
            moved = max(float((a - b).detach().abs().max()) for a, b in pairs)
            row = {"method": "GA", "seed": seed, "batchnorm": mode}
            row |= {"unlearn_accuracy": 100 - accuracy(model, *forget)}
            rows.append({**row, "test_accuracy": accuracy(model, *test), "moved": moved})
    frame = pd.DataFrame(rows)
    files.write_frame(given.out / "batchnorm.csv", frame)
    print(frame.round(6).to_string(index=False))


if __name__ == "__main__":
    main()
