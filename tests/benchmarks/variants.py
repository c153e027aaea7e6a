r"""RURK taken apart: which term does what, the paper's B.4, BatchNorm and the clip.

    python tests/benchmarks/variants.py --scenario digits --out runs/variants
    python tests/benchmarks/variants.py --scenario cifar5 --set path=cifar10.npz --out runs/variants
    python tests/benchmarks/variants.py --scenario cifar10-cpu --set path=cifar10.npz \
        --set references=12 --seeds 131 42 7 --settings tuned --only "both, BatchNorm train" \
        --out runs/variants
    rurk tune --scenario cifar10-cpu --set path=cifar10.npz --methods RURK --budget 8 \
        --seeds 900,901 --jobs 2
    python tests/benchmarks/variants.py --scenario cifar10-cpu --set path=cifar10.npz \
        --set references=12 --seeds 131 42 7 --settings rehearsal --only "both terms" \
        --tuned runs/cifar10-cpu-tune/settings.json --out runs/variants

Each variant starts from the paper's hyper-parameters and from those that were tuned for the
scenario (``cifar10-cpu`` has the paper's of its Table 1; "rehearsal" are those of --tuned), on
three seeds, against six re-trained models that all share. A variant that is there already is
skipped; SCENARIO/variants.csv (mean +- standard deviation over seeds) comes last.
"""

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

from rurklib.checks import InputError
from rurklib.study import files
from rurklib.study.ids import ModelId
from rurklib.study.scenarios import SCENARIOS
from rurklib.study.scenarios.scenario import literal
from rurklib.study.stages.ablation import ablate
from rurklib.unlearn.contract import defaults

B4 = {"target": "random"}
VARIANTS: dict[str, dict[str, Any]] = {
    "neither term": {"lambda_f": 0.0, "lambda_a": 0.0},
    "clean term alone (lambda_a = 0)": {"lambda_a": 0.0},
    "perturbed term alone (lambda_f = 0)": {"lambda_f": 0.0},
    "both terms": {},
    "both, FGSM, B.4 (wrong label)": {"perturbation": "fgsm", **B4},
    "both, PGD, B.4 (wrong label)": {"perturbation": "pgd", **B4},
    "both, FGSM towards the label (ours)": {"perturbation": "fgsm"},
    "both, PGD towards the label (ours)": {"perturbation": "pgd"},
    "both, recognised copies only": {"recognised_only": True},
    "both, v = 4": {"v": 4},
    "both, BatchNorm frozen, no clip": {"batchnorm": "frozen", "clip": 1e9},
    "both, BatchNorm frozen, clip 1": {"batchnorm": "frozen", "clip": 1.0},
    "both, BatchNorm train": {"batchnorm": "train"},
    "both, BatchNorm train, no clip": {"batchnorm": "train", "clip": 1e9},
    "both, BatchNorm train, clip 1": {"batchnorm": "train", "clip": 1.0},
}
ENDS = ["ratio_at_first_tau", "ratio_at_last_tau"]
SHOWN = ["retain_accuracy", "unlearn_accuracy", "test_accuracy", "average_gap"]


def measured(scenario: str, values: dict[str, Any], seed: int, settings, out: Path) -> dict:
    """What one variant comes to on one seed: accuracies, and the ratio at the ends of the curve."""
    try:
        frame, _ = ablate(
            scenario, out / "models", seed=seed, settings=settings, hyperparameters=values
        )
    except InputError as error:
        if "diverged" not in str(error):
            raise
        return dict.fromkeys([*SHOWN, *ENDS]) | {"diverged": str(error)}
    rows = frame[frame.method == "RURK"].sort_values("tau")
    first, last = rows.iloc[0], rows.iloc[-1]
    ends = dict(zip(ENDS, map(float, (first.ratio_of_means, last.ratio_of_means)), strict=True))
    return {k: float(last[k]) for k in SHOWN} | ends | {"finding": last.finding, "p": last.p}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenario", default="digits")
    parser.add_argument("--out", type=Path, default=Path("runs/variants"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--settings", nargs="+", choices=["paper", "tuned", "rehearsal"])
    parser.add_argument("--tuned", type=Path, help="settings.json of rurk tune")
    parser.add_argument("--only", nargs="+", choices=[*VARIANTS], default=[*VARIANTS])
    given = parser.parse_args()
    if "rehearsal" in (given.settings or []) and not given.tuned:
        parser.error("--settings rehearsal needs --tuned: the settings.json that rurk tune wrote")
    settings = {k: literal(v) for k, v in (item.split("=", 1) for item in given.set)}
    settings = {"references": 6, **settings}
    tuned = SCENARIOS[given.scenario].hyperparameters("RURK")
    bases = {"paper": {**tuned, **defaults("RURK")}, "tuned": tuned}
    if given.tuned:
        found = files.read_json(given.tuned)
        own = {k.removeprefix("RURK."): v for k, v in found.items() if k.startswith("RURK.")}
        bases["rehearsal"] = {**tuned, **own}
    rows = []
    for base, start in ((b, bases[b]) for b in given.settings or bases):
        for variant, changed in ((v, VARIANTS[v]) for v in given.only):
            for seed in given.seeds:
                name = f"{given.scenario}-{base}-{variant}-{ModelId('RURK', seed)}"
                file = given.out / f"{''.join(c if c.isalnum() else '-' for c in name)}.json"
                if not file.exists():
                    row = measured(given.scenario, {**start, **changed}, seed, settings, given.out)
                    files.write_json(file, row)
                    print(name, row, flush=True)
                found = files.read_json(file)
                rows.append({"settings": base, "variant": variant, "seed": seed, **found})
    table = pd.DataFrame(rows)
    folder = given.out / given.scenario
    files.write_frame(folder / "variants_by_seed.csv", table)
    files.write_frame(folder / "variants.csv", shown(table))
    print(shown(table).to_string(index=False))


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """A row a variant as a page shows it: mean +- standard deviation over the seeds that didn't
    diverge; of a single one, its number."""
    rows, digits = [], {**dict.fromkeys(SHOWN, 2), **dict.fromkeys(ENDS, 3)}
    for (base, variant), part in table.groupby(["settings", "variant"], sort=False):
        left = part[part[SHOWN].notna().all(axis=1)]
        told = {}
        for name, n in digits.items():
            spread = f" ± {left[name].std():.{n}f}" if len(left) > 1 else ""
            told[name.replace("_", " ")] = f"{left[name].mean():.{n}f}{spread}" if len(left) else ""
        counts = left.finding.value_counts().to_dict() if len(left) else {}
        counts |= {"diverged": len(part) - len(left)} if len(left) < len(part) else {}
        told["verdict (seeds)"] = ", ".join(f"{n} {finding}" for finding, n in counts.items())
        rows.append({"settings": base, "variant": variant, **told})
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main()
