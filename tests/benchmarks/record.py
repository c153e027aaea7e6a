"""The record of the first edition, and whether today's code still gives its answers.

    python tests/benchmarks/record.py make --at 3a42100 DIR   # in an environment of its own
    python tests/benchmarks/record.py compare DIR             # exit code 1 if a number differs

What a commit answers on this machine, through public doors: every CSV of four studies trained
afresh (CIFAR-5, one seed, if ``../shared/data`` is there), counts and margins of twelve nets under
each perturbation, each method's weights by seed, an audit. Both commands go on where they stopped.
"""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load_file, save_file

import rurklib

ROOT, DATA = Path(__file__).resolve().parents[2], Path("shared/data/unpack.py")
GONE: list[str] = []  # names whose files, rows, columns or keys went with the second edition
EXEMPT = ["seconds", "share_of_retrain", "versions", "sha256"]  # no answers of the code


def answers(folder: Path) -> None:
    """Ask the installed rurklib for everything that ``folder`` doesn't hold yet."""
    x, y = rurklib.data.digits().train
    signs = torch.randn(len(x), 16, 9, generator=torch.Generator().manual_seed(0)).sign()
    signs *= torch.arange(9) < 3 + torch.arange(len(x))[:, None, None] % 7  # zeros end a text
    kinds, nets = {"small-cnn": x / 255, "text-cnn": signs}, {}
    for kind, v in kinds.items():
        blank = [rurklib.models.build(kind, channels=v.shape[1], seed=s) for s in range(12)]
        train = rurklib.train.fit
        nets[kind] = [train(blank[s], v[:400], y[:400], seed=s, epochs=4) for s in range(12)]
    for name in rurklib.PERTURBATIONS:
        kind = "text-cnn" if name in ("delete", "swap", "typo") else "small-cnn"
        if not (path := folder / f"counts/{name}.safetensors").exists():
            result = rurklib.residual_knowledge(
                {str(s): net for s, net in enumerate(nets[kind])}, [], kinds[kind][:40], y[:40],
                taus=[0.0, 0.05, 0.2], perturbation=name, draws=20, bounds=(-1.0, 1.0),
                controls={"held out": (kinds[kind][400:440], y[400:440])},
            )  # fmt: skip
            counts = {net: (c, c.models.index(net)) for net, c in result.counts.items()}
            hits = {f"hits {net}": torch.tensor(c.hits[i]) for net, (c, i) in counts.items()}
            means = {f"margins {net}": torch.tensor(c.margins[i]) for net, (c, i) in counts.items()}
            save_file(hits | means, path)
    x, model, *references = kinds["small-cnn"], *nets["small-cnn"][:7]
    forget, retain, held_out = [(x[a:b], y[a:b]) for a, b in ((0, 40), (40, 400), (400, 440))]
    for name, seed in ((name, seed) for name in rurklib.METHODS for seed in range(2)):
        if not (path := folder / f"weights/{name} {seed}.safetensors").exists():
            save_file(rurklib.unlearn(name, model, retain, forget, seed=seed).state_dict(), path)
    if not (folder / "audit").exists():
        rurklib.audit(model, references, *forget, held_out=held_out, out=folder / "audit")
    studies = {"digits": [], "iris": ["--tables-only"], "breast-cancer": ["--tables-only"]}
    if (ROOT.parent / DATA).exists():
        runpy.run_path(str(ROOT.parent / DATA))["cifar10"](folder / "cifar10.npz")
        set_path = ["--set", f"path={folder / 'cifar10.npz'}"]
        studies["cifar5"] = ["--tables-only", "--seeds", "0", *set_path]
    for name, options in studies.items():
        if not (folder / name / "report.html").exists():
            command = [sys.executable, "-m", "rurklib", "study", "--scenario", name, "--fresh"]
            subprocess.run(
                [*command, "--jobs", "2", "--out", name, *options], cwd=folder, check=True
            )


def read(path: Path) -> dict[str, np.ndarray]:
    """What a file says, by tensor, key or column, without rows of what is gone."""
    if path.suffix == ".safetensors":
        return {name: tensor.numpy() for name, tensor in load_file(path).items()}
    if path.suffix == ".json":
        return {k: v.to_numpy() for k, v in pd.json_normalize(json.loads(path.read_text())).items()}
    frame = pd.read_csv(path, dtype={"seed": str})
    gone = frame.select_dtypes(exclude="number").isin(GONE).any(axis=1)
    return {str(name): column.to_numpy() for name, column in frame[~gone].items()}


def differences(old: Path, new: Path) -> list[str]:
    """A line for each number of ``old`` that ``new`` lacks or has otherwise."""
    lines, equal = [], 0
    patterns = (
        "counts/*",
        "weights/*",
        "audit/*.csv",
        "audit/*.json",
        "*/*.csv",
        "*/figures/*.csv",
    )
    for path in sorted({path for pattern in patterns for path in old.glob(pattern)}):
        name = path.relative_to(old)
        if any(word in str(name) for word in GONE):
            continue
        if not (new / name).exists():
            lines.append(f"{name}: no such file")
            continue
        was, now = read(path), read(new / name)
        for key in was.keys() - {*GONE, *EXEMPT}:
            if key not in now or was[key].shape != now[key].shape:
                lines.append(f"{name}, {key}: missing, or another number of rows")
            elif was[key].dtype.kind in "fiu":
                if not np.allclose(was[key], now[key], rtol=2e-5, atol=2e-5, equal_nan=True):
                    off = np.nanmax(np.abs(was[key].astype(float) - now[key]))
                    lines.append(f"{name}, {key}: differs by up to {off:.3g}")
            elif list(map(str, was[key])) != list(map(str, now[key])):
                lines.append(f"{name}, {key}: other words")
            equal += np.array_equal(was[key], now.get(key), equal_nan=was[key].dtype.kind == "f")
    return [*lines, f"{equal} columns, tensors and keys are equal to the last digit"]


def main(command: str, *words: str) -> int:
    """``make --at COMMIT DIR``, ``compare DIR``, or ``answers DIR`` of whatever is installed."""
    folder = Path(words[-1]).resolve()
    if command == "make":
        (folder / "code").mkdir(parents=True, exist_ok=True)
        archive = subprocess.run(
            ["git", "archive", words[1]], cwd=ROOT, capture_output=True, check=True
        )
        subprocess.run(["tar", "-x", "-C", folder / "code"], input=archive.stdout, check=True)
        subprocess.run([sys.executable, "-m", "venv", folder / "env"], check=True)
        python = folder / "env/bin/python"
        subprocess.run(
            [python, "-m", "pip", "install", "-q", "-e", f"{folder}/code[study]"], check=True
        )
        return subprocess.run([python, __file__, "answers", folder / "first"]).returncode
    commit = subprocess.check_output(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, text=True
    )
    today = folder if command == "answers" else folder / commit.strip()
    answers(today)
    lines = [] if command == "answers" else differences(folder / "first", today)
    print(*lines, sep="\n")
    return int(len(lines) > 1)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
