"""Copies found by FGSM and PGD, where a whole study of them would take a CPU days: some of a run's
forget samples, one seed, three of the paper's radii, beside its Figs. C.7 and C.8.

    python tests/benchmarks/by_gradient.py --run runs/cifar10-cpu --out figures/cifar10-cpu

Copies are found on the model in question and shown to the re-trained ones as well, as in the paper.
One copy a sample and radius: FGSM has no chance in it, and PGD from a random start ends at nearly
the same place. A further re-trained model's ratio is expected in ``predict_low ... predict_high``,
which each reference's own copies, shown to the others, tell. Written to --out: by_gradient.csv.
"""

import argparse
from pathlib import Path

import pandas as pd

import rurklib
from rurklib.study import files
from rurklib.study.ids import ModelId
from rurklib.study.run import open_existing
from rurklib.study.source import notebooks_folder
from rurklib.study.stages.models import load_models

TAUS = (0.0063, 0.0157, 0.0314)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=250)
    given = parser.parse_args()
    run = open_existing(given.run)
    s, seed = run.scenario, run.seeds[0]
    x, y = (part[: given.samples] for part in run.pair("forget"))
    shown = load_models(run, [ModelId(m, seed) for m in ("Original", *s.methods)])
    models = {name.method: net for name, net in shown.items()}
    references = [*load_models(run, run.names("Re-train")).values()]
    curves = pd.read_csv(notebooks_folder() / "paper_fig_2.csv")
    papers = curves.set_index(["perturbation", "method", "tau"]).ratio
    frames = []
    for law in ("fgsm", "pgd"):
        result = rurklib.residual_knowledge(
            models, references, x, y, taus=TAUS, perturbation=law, draws=1,
            bounds=run.data.bounds, precision=s.recipe.precision,
        )  # fmt: skip
        rows = pd.concat({m: result.rows(m) for m in models}, names=["method"]).reset_index(0)
        rows.insert(0, "perturbation", law)
        keys = zip(rows.perturbation, rows.method, rows.tau, strict=True)
        rows["paper"] = [papers.get(key, float("nan")) for key in keys]
        rows["finding"] = rows.method.map({m: result.judge(m).finding for m in models})
        frames.append(rows)
        print(rows.pivot(index="method", columns="tau", values="ratio_of_means").round(3), "\n")
    kept = ["perturbation", "method", "tau", "ratio_of_means", "predict_low", "predict_high",
            "p_value", "finding", "paper"]  # fmt: skip
    files.write_frame(given.out / "by_gradient.csv", pd.concat(frames)[kept].assign(seed=seed))


if __name__ == "__main__":
    main()
