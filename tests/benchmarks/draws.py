"""Are a run's draws enough? What chance in the copies adds to what re-trained models differ by.

    python tests/benchmarks/draws.py --run runs/cifar10-cpu --out figures/cifar10-cpu

A sample that h of K copies were recognised of has, without bias, p (1 - p) = h (K - h) / (K (K -
1)) from copy to copy; over n samples the accuracy has the variance sum p (1 - p) / (K n^2) from its
draws alone. That is set against the variance of the accuracy among re-trained models, which holds
the draws' too: ``share_of_variance``, a bound, for models see the same copies and much of it
cancels in a ratio. ``with_more`` is how much narrower, in percent, the range where a further
re-trained model is expected would be with draws without end. Written to --out: draws.csv.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from rurklib.study import files
from rurklib.study.run import open_existing
from rurklib.study.stages.measure import residual


def spent(hits: np.ndarray, taus: tuple[float, ...], draws: int) -> pd.DataFrame:
    """A row per tau > 0 of references' hits [model, tau, sample], ``draws`` copies of each."""
    n = hits.shape[-1]
    accuracy = 100 * hits.mean(-1) / draws
    chance = 1e4 * (hits * (draws - hits)).sum(-1) / (draws * (draws - 1)) / (draws * n**2)
    among, own = accuracy.var(0, ddof=1), chance.mean(0)
    share = own / among
    frame = pd.DataFrame({
        "tau": taus, "draws": draws, "copies": draws * n, "accuracy": accuracy.mean(0),
        "reference_sd": np.sqrt(among), "draws_se": np.sqrt(own),
        "share_of_variance": 100 * share, "with_more": 100 * (1 - np.sqrt((1 - share).clip(0))),
    })  # fmt: skip
    return frame[frame.tau > 0]  # without noise all copies are alike


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    run = open_existing(given.run)
    result = residual(run, run.scenario.perturbations[0], methods=["Original"])
    hits = np.stack([result.counts[name].of(name) for name in result.references])
    frame = spent(hits, run.scenario.taus, run.scenario.draws)
    files.write_frame(given.out / "draws.csv", frame)
    print(frame.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
