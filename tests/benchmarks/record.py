"""What the first edition answers on this machine, and whether today's commit says the same.

``make --at 3a42100 DIR`` asks it in an environment of its own, ``compare DIR`` asks today's commit
and exits with 1 if a number differs.
"""

import json
import re
import sys
from pathlib import Path
from subprocess import check_call, check_output

import pandas as pd
import torch

import rurklib

ROOT = Path(__file__).parents[2].resolve()
DATA = ROOT.parent / "shared/data/unpack.py"
GONE = "seconds|share_of_retrain|NoisyRURK|UNSIR|epsilon_low|activation_distance|js_divergence|zrf"
GONE += "|estimand|together|05_map|05_radius|05_samples|roc|rule|sphere-l2|sentence|note"
GONE += "|05_running_ratio"  # its interval is another one
DROPPED = "prevalence|prevalence_pairs|median_ratio|.*[.](unit|test|leading|shift|gained)"
STUDIES = {"iris": "--tables-only", "breast-cancer": "--tables-only", "digits": "--jobs=2"}


def answers(folder: Path) -> None:
    """Counts of twelve nets, weights by method and seed, an audit, four studies."""
    folder.mkdir(exist_ok=True)
    torch.set_num_threads(1)  # the order of sums
    x, y, measure = *rurklib.data.digits().train, rurklib.residual_knowledge
    frames, weights, edits = {}, {}, {"delete", "swap", "typo"}
    for kind, v in {"text-cnn": (x[:, 0] > 64) * 2.0 - 1.0, "small-cnn": x / 255}.items():
        nets = {str(s): rurklib.models.build(kind, v.shape[1], 10, seed=s) for s in range(12)}
        for net in nets.values():
            rurklib.train.fit(net, v[:400], y[:400], seed=0, epochs=4)
        forget, retain, other = ((v[a:b], y[a:b]) for a, b in ((0, 40), (40, 400), (400, 440)))
        asked = {"taus": [0, 0.05, 0.2], "bounds": (-1, 1), "controls": {"held out": other}}
        for name in sorted(edits if kind == "text-cnn" else rurklib.PERTURBATIONS.keys() - edits):
            frames[name] = measure(nets, [], *forget, perturbation=name, draws=10, **asked).frame
    for name, seed in ((name, seed) for name in rurklib.METHODS for seed in (0, 1)):
        state = rurklib.unlearn(name, nets["0"], retain, forget, seed=seed).state_dict()
        weights[f"{name} {seed}"] = torch.cat([v.flatten() for v in state.values()])
    pd.concat(frames).to_csv(folder / "counts.csv")
    pd.DataFrame(weights).to_csv(folder / "weights.csv")
    if not (folder / "audit").exists():
        rurklib.audit(nets.pop("0"), nets, *forget, held_out=other, out=folder / "audit")
    if DATA.exists():
        check_call([sys.executable, DATA, "cifar10", folder / "cifar10.npz"])
        STUDIES["cifar5"] = f"--tables-only --jobs=2 --seeds=0 --set=path={folder}/cifar10.npz"
    print(f"{len(STUDIES)} of 4 studies are compared; CIFAR-5 needs {DATA}")
    for name, options in STUDIES.items():
        study = [sys.executable, "-m", "rurklib", "study", "--fresh", *options.split()]
        if not (folder / name / "report.html").exists():
            check_call([*study, "--scenario", name, "--out", name], cwd=folder)


def read(path: Path) -> pd.DataFrame:
    """A table, or the leaves of a JSON file as its columns, without what is gone."""
    text = path.read_text().replace('"parts"', '"p_values"')  # as they are called today
    frame = pd.json_normalize(json.loads(text)) if text[0] == "{" else pd.read_csv(path)
    cells, compared = frame.astype(str), frame.columns.str.contains("null|predict|p_value|margin_")
    found = cells.apply(lambda c: c.str.fullmatch("(pgd|fgsm).*")).any(axis=1)
    frame.loc[found, compared] = float("nan")  # models are compared on their own copies now
    gone = cells.apply(lambda c: c.str.fullmatch(GONE)).any(axis=1)
    gone |= found & (cells == "Re-train").any(axis=1)
    return frame.loc[~gone, ~frame.columns.str.contains(GONE)].reset_index(drop=True)


if __name__ == "__main__":
    command, folder, exact, lines = sys.argv[1], Path(sys.argv[-1]).resolve(), 0, []
    if command == "make":
        check_call([sys.executable, "-m", "venv", folder / "env"])
        package = f"rurklib[study] @ git+file://{ROOT}@{sys.argv[3]}"
        check_call([folder / "env/bin/pip", "install", "-q", package])
        sys.exit(check_call([folder / "env/bin/python", __file__, "first", folder]))
    head = check_output(["git", "-C", ROOT, "rev-parse", "HEAD"], text=True).strip()
    answers(today := folder / ("first" if command == "first" else head))
    for path in [*folder.glob("first/**/*.csv"), folder / "first/audit/audit.json"]:
        try:
            was, now = read(path), read(today / path.relative_to(folder / "first"))
            was = was[[c for c in was if c in now or not re.fullmatch(DROPPED, c)]]
            pd.testing.assert_frame_equal(was, now := now[was.columns], rtol=2e-5, atol=2e-5)
            exact += was.equals(now)
        except (AssertionError, KeyError, OSError) as error:
            lines += [f"{path.name}: {error}"] if path.stem not in GONE.split("|") else []
    print(*lines, f"{exact} files are equal to the last digit", sep="\n")
    sys.exit(bool(lines))
