"""Whether two folders of results say the same: after a change of code that must change no number.

    python tests/benchmarks/same_results.py OLD NEW

Every CSV is equal to the byte without the columns that name time, memory or a folder; every
checkpoint by its weights, every .npz by its arrays (keys and fingerprints are left out), every
audit.json whole. Prints what differs; exit code 1 if anything does.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.torch import load_file

EXEMPT = ["seconds", "share_of_retrain", "peak_mb", "cell"]
KEYS = ("fingerprint", "key")
KINDS = (".csv", ".safetensors", ".npz", ".json")


def content(path: Path) -> object:
    """What a file says, in a form that can be compared."""
    if path.suffix == ".csv":
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        return table.drop(columns=EXEMPT, errors="ignore").to_csv(index=False)
    if path.suffix == ".safetensors":
        return {k: (v.dtype, v.shape, v.numpy().tobytes()) for k, v in load_file(path).items()}
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            return {k: (v.dtype, v.shape, v.tobytes()) for k, v in file.items() if k not in KEYS}
    return path.read_text()


def compared(folder: Path) -> dict[str, Path]:
    """Files by the name that both folders have for them; a cell of a sweep is named by its rows."""
    found = {}
    for path in sorted(p for p in folder.rglob("*") if p.suffix in KINDS):
        name = path.relative_to(folder).as_posix()
        if "/cells/" in f"/{name}" or path.name in ("run.json", "env.json", "settings.json"):
            continue  # named by keys; their rows stand in results.csv, their times nowhere else
        if path.suffix == ".json" and path.name != "audit.json":
            continue
        found[name] = path
    return found


def main() -> int:
    old, new = (compared(Path(folder)) for folder in sys.argv[1:3])
    gone, differs = sorted(old.keys() - new.keys()), []
    for name in sorted(old.keys() & new.keys()):
        if content(old[name]) != content(new[name]):
            differs.append(name)
    print(f"{len(old.keys() & new.keys()) - len(differs)} files say the same")
    for what, names in (("differs", differs), ("is missing in NEW", gone)):
        for name in names:
            print(f"{name} {what}")
    if more := sorted(new.keys() - old.keys()):
        print(f"only in NEW: {', '.join(more)}")
    return int(bool(differs or gone))


if __name__ == "__main__":
    sys.exit(main())
